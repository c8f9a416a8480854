// A second, deliberately naive zo for the tests: everything stored, plain loops, double precision,
// library functions. Written from the papers and from the documented layout; it includes no zo
// header, so that a fault there cannot hide here.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numbers>
#include <utility>
#include <vector>

namespace reference {

using vector = std::vector<double>;
using function = std::function<double(const vector&)>;
using words = std::array<std::uint32_t, 4>;

// Philox4x32-10, Salmon et al. 2011, section 3.3 and table 2.
inline words philox(words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    const std::uint64_t left = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57u} * counter[2];
    const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
    const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v & 0xffffffffu); };
    counter = {high(right) ^ counter[1] ^ key[0], low(right), high(left) ^ counter[3] ^ key[1],
               low(left)};
  }
  return counter;
}

// Names a direction: run, estimate within it, direction within that.
struct place {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint32_t number = 0;
};

inline words block(const place& at, std::uint32_t block_number, std::uint32_t purpose = 0) {
  const auto step_low = static_cast<std::uint32_t>(at.step & 0xffffffffu);
  const auto step_high = static_cast<std::uint32_t>(at.step >> 32);
  return philox({block_number, at.number, step_low, purpose * 0x1000000u + step_high},
                {static_cast<std::uint32_t>(at.seed & 0xffffffffu),
                 static_cast<std::uint32_t>(at.seed >> 32)});
}

// Sixteen counter blocks form a group of 16 * per_block coordinates; value v of block l is
// coordinate 16 v + l of the group.
struct position {
  std::uint32_t block_number;
  int value;
};
inline position locate(std::int64_t coordinate, int per_block) {
  const std::int64_t group = coordinate / (16 * per_block);
  const std::int64_t within = coordinate % (16 * per_block);
  return {static_cast<std::uint32_t>(16 * group + within % 16), static_cast<int>(within / 16)};
}

// Box and Muller in double. The radius word gives u = (r + 1/2) / 2^31 from its upper 31 bits, the
// angle word a turn in [-1/8, 1/8) from its lower 30 bits, mirrored by bit 31, legs exchanged by
// bit 30. `radius` tells the caller how well float can do.
struct normal {
  double value;
  double radius;
};
inline normal gaussian_value(const place& at, std::int64_t coordinate) {
  const position where = locate(coordinate, 4);
  const words w = block(at, where.block_number);
  const std::size_t pair = where.value < 2 ? 0 : 2;
  const double u = (static_cast<double>(w[pair] / 2) + 0.5) / 0x1p31;
  const double radius = std::sqrt(-2.0 * std::log(u));
  const std::uint32_t angle_word = w[pair + 1];
  const double low = static_cast<double>(angle_word % (1u << 30));
  const double turn = (low < 0x1p29 ? low : low - 0x1p30) / 0x1p32 + 0x1p-35;
  const double angle = 2.0 * std::numbers::pi * turn;
  double along = std::cos(angle), across = std::sin(angle);
  if (angle_word >> 31 != 0) along = -along;
  if ((angle_word >> 30) % 2 != 0) std::swap(along, across);
  return {radius * (where.value % 2 == 0 ? along : across), radius};
}

inline double rademacher_value(const place& at, std::int64_t coordinate) {
  const position where = locate(coordinate, 128);
  const words w = block(at, where.block_number);
  const std::uint32_t word = w[static_cast<std::size_t>(where.value / 32)];
  const int bit = 31 - where.value % 32;
  return (word >> bit) % 2 != 0 ? -1.0 : 1.0;
}

enum class distribution { gaussian, rademacher, sphere };

inline vector direction(distribution kind, const place& at, std::size_t dimension) {
  vector u(dimension);
  double squares = 0;
  for (std::size_t i = 0; i < dimension; ++i) {
    const auto coordinate = static_cast<std::int64_t>(i);
    u[i] = kind == distribution::rademacher ? rademacher_value(at, coordinate)
                                            : gaussian_value(at, coordinate).value;
    squares += u[i] * u[i];
  }
  if (kind == distribution::sphere) {
    for (double& value : u) value /= std::sqrt(squares);
  }
  return u;
}

inline double dot(const vector& a, const vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline vector shifted(vector x, double h, const vector& u) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += h * u[i];
  return x;
}

// RGE with stored directions: the formula of the documentation, one term after another.
inline vector rge(const function& f, const vector& x, const std::vector<vector>& directions,
                  double scale, double mu, bool central) {
  vector gradient(x.size(), 0.0);
  const double at_x = f(x);
  for (const vector& u : directions) {
    const double slope = central ? (f(shifted(x, mu, u)) - f(shifted(x, -mu, u))) / (2 * mu)
                                 : (f(shifted(x, mu, u)) - at_x) / mu;
    for (std::size_t i = 0; i < x.size(); ++i) {
      gradient[i] += scale * slope * u[i] / static_cast<double>(directions.size());
    }
  }
  return gradient;
}

inline double scale(distribution kind, std::size_t dimension) {
  return kind == distribution::sphere ? static_cast<double>(dimension) : 1.0;
}

inline std::vector<vector> directions(distribution kind, place first, std::size_t count,
                                      std::size_t dimension) {
  std::vector<vector> all;
  for (std::size_t k = 0; k < count; ++k, ++first.number) {
    all.push_back(direction(kind, first, dimension));
  }
  return all;
}

// CGE as textbooks have it.
inline vector cge(const function& f, const vector& x, double mu, bool central) {
  vector gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    vector up = x, down = x;
    up[i] += mu;
    down[i] -= mu;
    gradient[i] = central ? (f(up) - f(down)) / (up[i] - down[i]) : (f(up) - f(x)) / (up[i] - x[i]);
  }
  return gradient;
}

// Optimizers, one function a step, state in plain structs.
struct sgd {
  double rate, momentum = 0, weight_decay = 0;
  bool nesterov = false;
  vector velocity{};

  void step(vector& x, vector gradient) {
    const bool first = velocity.empty();
    if (first) velocity.assign(x.size(), 0.0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double g = gradient[i] + weight_decay * x[i];
      velocity[i] = first ? g : momentum * velocity[i] + g;
      x[i] = x[i] - rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
  }
};

struct adam {
  double rate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  int steps = 0;
  vector m{}, v{};

  void step(vector& x, const vector& gradient) {
    if (steps == 0) m.assign(x.size(), 0.0), v.assign(x.size(), 0.0);
    ++steps;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double g = gradient[i] + weight_decay * x[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(beta1, steps));
      const double v_hat = v[i] / (1 - std::pow(beta2, steps));
      x[i] -= rate * m_hat / (std::sqrt(v_hat) + epsilon);
    }
  }
};

}  // namespace reference
