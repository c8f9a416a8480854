// What "exact at any step size" means, in numbers: differences against values in 113-bit arithmetic
// that are subtracted, for steps from 1e-12 to 1e6. Prints the table of docs/maths.md.
#include <algorithm>
#include <array>
#include <cstdio>

#include "naive.hpp"
#include "trial.hpp"
#include "wide.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;
namespace nn = zo::nn;
using wides = std::vector<wide>;

constexpr std::array steps{1e-12, 1e-6, 1e-3, 1.0, 1e3, 1e6};
using errors = std::array<double, steps.size()>;

template <class T>
wide unit_of() {
  return wide(std::numeric_limits<T>::epsilon()) / 2;
}

template <class T>
wides widen(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}
wides magnitudes(wides values) {
  for (wide& v : values) v = abs_of(v);
  return values;
}

// The largest error, in units of rounding of what each number is compared with.
template <class T, class U>
double in_units(const std::vector<U>& found, const wides& right, const wides& compared,
                wide slack = 0) {
  double most = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const wide off = abs_of(wide(found[i]) - right[i]) - slack;
    if (off <= 0) continue;
    const double units = static_cast<double>(off / (compared[i] * unit_of<T>()));
    most = units <= most ? most : units;  // NaN is taken
  }
  return most;
}

// Values and changes of them: noise; bright images of little contrast that a weight moves; the same
// moved nearly alike; and zeros, denormal, small and large numbers of both signs.
template <class T>
struct images {
  std::vector<T> values, changes;

  images(int kind, index_t count, double step) : values(at(count)), changes(at(count)) {
    const std::vector<double> a = noise<double>(count, 31), b = noise<double>(count, 32);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double sizes[] = {0, 1e-40, 1e-3, 1, 1e4};
      const double x = kind == 0   ? a[i]
                       : kind == 1 ? 200 + 0.1 * a[i]
                       : kind == 2 ? 1 + 1e-4 * a[i]
                                   : sizes[i % 5] * a[i];
      values[i] = static_cast<T>(x);
      changes[i] = static_cast<T>(kind == 1   ? step * static_cast<double>(values[i])
                                  : kind == 2 ? step * (1 + 1e-3 * b[i])
                                              : step * b[i]);
    }
  }
  static constexpr int kinds = 4;
  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
};

// Of the differences of a network with one operation, all of its inputs moved.
template <class T, class Compare>
errors errors_of(const nn::network& net, const Compare& compared) {
  constexpr index_t count = 20;
  errors found{};
  for (std::size_t k = 0; k < steps.size(); ++k) {
    for (int kind = 0; kind < images<T>::kinds; ++kind) {
      const images<T> data(kind, count * net.nodes()[0].out.size(), steps[k]);
      const auto parameters = noise<T>(net.parameter_count(), 33);
      std::vector<T> statistics(static_cast<std::size_t>(net.statistic_count()));
      nn::forward_pass<T> pass(net);
      pass.run(zo::seq, parameters, statistics, data.values, count, nn::norm_mode::train);
      pass.prepare_differences();
      nn::difference_pass<T> follow(pass);
      const auto made = copy_of(follow.from(0, data.changes, nn::coupling::batch));
      const auto values = [&](const wides& inputs) {
        return naive_forward<wide>(net, widen(parameters), widen(statistics), inputs, count,
                                   nn::norm_mode::train)
            .back();
      };
      wides moved = widen(data.values);
      for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += data.changes[i];
      const wides before = values(widen(data.values));
      wides right = values(moved);
      for (std::size_t i = 0; i < right.size(); ++i) right[i] -= before[i];
      const wide slack = 4 * wide(std::numeric_limits<T>::denorm_min());
      found[k] = std::max(found[k],
                          in_units<T>(made, right, compared(net, parameters, data, right), slack));
    }
  }
  return found;
}

// Rounding is compared with the difference itself …
constexpr auto with_itself = [](const nn::network&, const auto&, const auto&, const wides& right) {
  return magnitudes(right);
};
// … or with the sum of the magnitudes that make it …
constexpr auto with_terms = [](const nn::network& net, const auto& parameters, const auto& data,
                               const wides&) {
  wides weights = magnitudes(widen(parameters));
  for (const nn::node& n : net.nodes()) {
    if (n.bias >= 0) weights.back() = 0;  // of one output
  }
  return naive_forward<wide>(net, weights, {}, magnitudes(widen(data.changes)), 20,
                             nn::norm_mode::train)
      .back();
};
// … or, where a row's numbers share sums, with the largest change.
constexpr auto with_largest = [](const nn::network& net, const auto& parameters, const auto& data,
                                 const wides& right) {
  wides changes = magnitudes(widen(data.changes));
  std::ranges::fill(changes, *std::ranges::max_element(changes));
  return naive_forward<wide>(net, magnitudes(widen(parameters)), {}, changes,
                             static_cast<index_t>(right.size()) / net.output().size(),
                             nn::norm_mode::train)
      .back();
};
// Of a batch norm: its two terms, e / root' and c (1 / root' - 1 / root), where e = d - mean(d) and
// c have the rounding of their means, and the change of the variance is a mean of |e (2 c + e)|.
constexpr auto with_norm_terms = [](const nn::network& net, const auto& parameters,
                                    const auto& data, const wides& right) {
  const nn::shape s = net.output();
  const index_t samples = static_cast<index_t>(right.size()) / s.size();
  const wide n = wide(samples * s.area());
  wides compared(right.size());
  for (index_t c = 0; c < s.channels; ++c) {
    const auto each = [&](const auto& body) {
      for (index_t b = 0; b < samples; ++b) {
        for (index_t p = 0; p < s.area(); ++p) {
          body(static_cast<std::size_t>(b * s.size() + c * s.area() + p));
        }
      }
    };
    wide mean = 0, shift = 0, variance = 0, moved = 0, terms = 0, spread = 0, most = 0;
    each([&](std::size_t i) {
      mean += wide(data.values[i]) / n, shift += wide(data.changes[i]) / n;
    });
    const auto centred = [&](std::size_t i) { return wide(data.values[i]) - mean; };
    const auto change = [&](std::size_t i) { return wide(data.changes[i]) - shift; };
    each([&](std::size_t i) {
      const wide a = centred(i), e = change(i);
      variance += a * a / n;
      moved += (a + e) * (a + e) / n;
      terms += abs_of(e) * (2 * abs_of(a) + abs_of(e)) / n;
      spread += abs_of(a) / n;
      most += abs_of(e) / n;
    });
    const wide root = root_of(variance + wide(1e-5)), next = root_of(moved + wide(1e-5));
    const wide gamma = abs_of(wide(parameters[static_cast<std::size_t>(c)]));
    each([&](std::size_t i) {
      compared[i] = gamma * ((abs_of(change(i)) + most) / next +
                             (abs_of(centred(i)) + spread) * terms / (root * next * (root + next)));
    });
  }
  return compared;
};

// The loss of one sample, free of cancellation.
wide loss_of(const wides& z, index_t target) {
  wide most = 0, sum = 0;
  const auto beyond = [&](std::size_t k) { return z[k] - z[static_cast<std::size_t>(target)]; };
  for (std::size_t k = 0; k < z.size(); ++k) most = std::max(most, beyond(k));
  if (most == 0) {
    for (std::size_t k = 0; k < z.size(); ++k) {
      if (static_cast<index_t>(k) != target) sum += exp_of(beyond(k));
    }
    return log1p_of(sum);
  }
  for (std::size_t k = 0; k < z.size(); ++k) sum += exp_of(beyond(k) - most);
  return most + log1p_of(sum - 1);
}

// Of samples that are sure, unsure and wrong. Only the target moves, so that all terms have one
// sign; or everything does, by little more than rounding apart.
template <class T>
errors errors_of_cross_entropy(index_t classes) {
  errors found{};
  for (std::size_t k = 0; k < steps.size(); ++k) {
    for (const double spread : {0.0, 1.0, 30.0, 700.0}) {
      for (const index_t target : {index_t{0}, classes / 2}) {
        for (const double sign : {-1.0, 1.0}) {
          std::vector<T> z = noise<T>(classes, 41, std::min(spread, 5.0)), d(z.size());
          z[0] += static_cast<T>(spread);
          for (T& v : d) v = static_cast<T>(7 * steps[k]);
          d[static_cast<std::size_t>(target)] += static_cast<T>(sign * steps[k]);
          nn::cross_entropy loss(std::vector<index_t>{target}, classes);
          loss.prepare<T>(std::span<const T>(z));
          wides moved = widen(z);
          for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += d[i];
          const wides right{loss_of(moved, target) - loss_of(widen(z), target)};
          const std::vector<double> made{loss.difference(d.data())};
          const wide slack = 64 * wide(std::numeric_limits<double>::denorm_min());
          found[k] = std::max(found[k], in_units<double>(made, right, magnitudes(right), slack));
        }
      }
    }
  }
  return found;
}

template <class T>
errors errors_of_squared_error() {
  errors found{};
  for (std::size_t k = 0; k < steps.size(); ++k) {
    for (int kind = 0; kind < images<T>::kinds; ++kind) {
      const images<T> data(kind, 12, steps[k]);
      const std::vector<double> targets = noise<double>(12, 43);
      nn::squared_error loss(targets);
      loss.prepare<T>(std::span<const T>(data.values));
      wide right = 0, terms = 0;
      for (std::size_t i = 0; i < 12; ++i) {
        const wide residual = wide(data.values[i]) - wide(targets[i]), d = data.changes[i];
        right += d * (2 * residual + d) / 12;
        terms += abs_of(d) * (2 * abs_of(residual) + abs_of(d)) / 12;
      }
      const std::vector<double> made{loss.difference(data.changes.data())};
      found[k] = std::max(found[k], in_units<double>(made, {right}, {terms}));
    }
  }
  return found;
}

struct line {
  const char* name;
  errors of_float, of_double;
  double bound;  // from the number of roundings that one result goes through
};

template <class Compare>
line line_of(const char* name, const nn::network& net, const Compare& compared, double bound) {
  return {name, errors_of<float>(net, compared), errors_of<double>(net, compared), bound};
}

std::vector<line> all_lines() {
  std::vector<line> lines;
  nn::network relu({3, 4, 4}), add({3, 4, 4}), most({3, 8, 8}), mean({3, 8, 8}), whole({3, 8, 8});
  relu.relu(relu.input());
  add.add(add.input(), add.relu(add.input()));
  most.max_pool(most.input(), {.kernel = 3, .stride = 2});
  mean.average_pool(mean.input());
  whole.global_average_pool(whole.input());
  nn::network linear({2, 3, 3}), direct({4, 8, 7}), tiles({4, 8, 8}), norm({3, 8, 8});
  linear.linear(linear.input(), "l", 5, false);
  direct.convolution(direct.input(), "c", {.channels = 5, .stride = 2});
  tiles.convolution(tiles.input(), "c", {.channels = 5});
  norm.batch_norm(norm.input(), "n");
  lines.push_back(line_of("ReLU", relu, with_itself, 1));
  lines.push_back(line_of("max pool, 9 numbers", most, with_itself, 2));
  lines.push_back(line_of("sum", add, with_itself, 2));
  lines.push_back(line_of("average pool, 4 numbers", mean, with_terms, 4));
  lines.push_back(line_of("global average pool, 64 numbers", whole, with_terms, 64));
  lines.push_back(line_of("linear map, 18 inputs", linear, with_terms, 18));
  lines.push_back(line_of("convolution, 36 products", direct, with_terms, 36));
  // 48: the magnitudes in the matrices of F(4, 3), multiplied; 3 rows of 4 channels, 4 sums of
  // each.
  lines.push_back(line_of("convolution by tiles", tiles, with_largest, 48 * (12 + 4)));
  // Sums of 32 in T, of products that were rounded four times, and six roundings after them.
  lines.push_back(line_of("batch norm, train mode", norm, with_norm_terms, 2 * (32 + 4) + 6));
  for (const index_t classes : {index_t{1}, index_t{10}, index_t{1000}}) {
    // A sum over the classes, and exponents of up to 700 + 7 that rounding multiplies.
    lines.push_back({classes == 1    ? "cross entropy, 1 class"
                     : classes == 10 ? "cross entropy, 10 classes"
                                     : "cross entropy, 1000 classes",
                     errors_of_cross_entropy<float>(classes),
                     errors_of_cross_entropy<double>(classes),
                     static_cast<double>(classes) + 2 * 707});
  }
  lines.push_back({"squared error, 12 numbers", errors_of_squared_error<float>(),
                   errors_of_squared_error<double>(), 12 + 4});
  return lines;
}

TEST(nn_exactness, differences_at_every_step) {
  std::printf("| operation, in | step 1e-12 | 1e-6 | 1e-3 | 1 | 1e3 | 1e6 | bound |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const line& l : all_lines()) {
    for (const bool single : {true, false}) {
      std::printf("| %s, %s |", l.name, single ? "float" : "double");
      for (const double e : single ? l.of_float : l.of_double) {
        std::printf(" %.1f |", e);
        EXPECT_LE(e, l.bound) << l.name << (single ? ", float" : ", double");
      }
      std::printf(" %g |\n", l.bound);
    }
  }
}

}  // namespace
