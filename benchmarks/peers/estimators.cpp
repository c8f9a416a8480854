#include "estimators.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <random>

namespace peers {
namespace {

using vector = Eigen::VectorXf;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

vector copy_of(std::span<const float> x) {
  return Eigen::Map<const vector>(x.data(), static_cast<Eigen::Index>(x.size()));
}
std::span<const float> span_of(const vector& v) {
  return {v.data(), static_cast<std::size_t>(v.size())};
}

}  // namespace

double shifted_squares(std::span<const float> x) {
  constexpr Eigen::Index block = 4096;  // a float sum of more would lose digits
  const Eigen::Map<const vector> all(x.data(), static_cast<Eigen::Index>(x.size()));
  double total = 0;
  for (Eigen::Index at = 0; at < all.size(); at += block) {
    const auto part = all.segment(at, std::min(block, all.size() - at));
    total += static_cast<double>((part.array() - 1.0f).square().sum());
  }
  return total;
}

struct spsa::state {
  vector x, signs, gradient;
  float c;
  std::mt19937_64 random{1};

  void draw_signs() {
    float* const out = signs.data();
    const Eigen::Index size = signs.size();
    for (Eigen::Index at = 0; at < size; at += 64) {
      const std::uint64_t bits = random();
      const int count = static_cast<int>(std::min<Eigen::Index>(64, size - at));
      for (int i = 0; i < count; ++i) out[at + i] = static_cast<float>((bits >> i & 1) * 2) - 1.0f;
    }
  }
};

spsa::spsa(std::span<const float> x, float c)
    : state_(new state{copy_of(x), vector(static_cast<Eigen::Index>(x.size())),
                       vector(static_cast<Eigen::Index>(x.size())), c}) {}
spsa::~spsa() = default;

std::span<const float> spsa::estimate(objective f) {
  state& s = *state_;
  s.draw_signs();
  s.x += s.c * s.signs;
  const double upper = f(span_of(s.x));
  s.x -= 2 * s.c * s.signs;
  const double lower = f(span_of(s.x));
  s.x += s.c * s.signs;
  // 1 / sign = sign: no division.
  s.gradient = static_cast<float>((upper - lower) / (2 * static_cast<double>(s.c))) * s.signs;
  return span_of(s.gradient);
}

struct stored_rge::state {
  vector x, candidate, weights, gradient;
  matrix directions;
  float mu;
  std::mt19937_64 random{1};
  std::normal_distribution<float> normal{};
};

stored_rge::stored_rge(std::span<const float> x, std::int64_t directions, float mu)
    : state_(new state{copy_of(x), vector(static_cast<Eigen::Index>(x.size())), vector(directions),
                       vector(static_cast<Eigen::Index>(x.size())),
                       matrix(directions, static_cast<Eigen::Index>(x.size())), mu}) {}
stored_rge::~stored_rge() = default;

std::span<const float> stored_rge::estimate(objective f) {
  state& s = *state_;
  for (float& value : s.directions.reshaped<Eigen::RowMajor>()) value = s.normal(s.random);
  const double base = f(span_of(s.x));
  const auto scale = static_cast<double>(s.mu) * static_cast<double>(s.directions.rows());
  for (Eigen::Index k = 0; k < s.directions.rows(); ++k) {
    s.candidate = s.x + s.mu * s.directions.row(k).transpose();
    s.weights[k] = static_cast<float>((f(span_of(s.candidate)) - base) / scale);
  }
  s.gradient.noalias() = s.directions.transpose() * s.weights;
  return span_of(s.gradient);
}

}  // namespace peers
