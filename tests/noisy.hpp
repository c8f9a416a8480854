// Smooth functions, noise that cannot be repeated, and the best step for both in closed form.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "support.hpp"

namespace testing_zo {

enum class kind { normal, uniform };

// Number `count` of standard deviation 1: a function of (seed, count).
inline double drawn(kind of, std::uint64_t seed, std::uint64_t count) {
  const auto words = zo::stream{seed, count, 0, zo::purpose::coordinates}.words(0);
  const auto unit = [](std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; };
  if (of == kind::uniform) return std::sqrt(12.0) * (unit(words.w0) - 0.5);
  return std::sqrt(-2 * std::log(unit(words.w0))) * std::cos(2 * std::numbers::pi * unit(words.w1));
}

// f with noise that cannot be repeated: each query draws the next.
template <class F>
struct noisy {
  F f;
  double level = 0;
  kind of = kind::normal;
  std::uint64_t seed = 0;
  std::uint64_t count = 0;
  template <class T>
  double operator()(std::span<const T> x) {
    return f(x) + level * drawn(of, seed, count++);
  }
};

template <class F>  // clang 14 deduces no aggregates
noisy(F, double, kind, std::uint64_t)->noisy<F>;

// Smooth functions over any real type, so that long double has the truth.
struct function {
  const char* name;
  std::vector<double> x;
  std::function<double(std::span<const double>)> f;
  std::function<long double(std::span<const long double>)> exact;
};

template <class F>
function make(const char* name, std::vector<double> x, F f) {
  return {name, std::move(x), [f](std::span<const double> at) { return f(at); },
          [f](std::span<const long double> at) { return f(at); }};
}

template <class R>
R log_sum_exp(std::span<const R> x) {
  R sum = 0;
  for (const R v : x) sum += std::exp(v);
  return std::log(sum);
}

// Of x[0] the steps are taken.
inline std::vector<function> smooth_functions() {
  using std::cos, std::exp, std::log, std::sin, std::sqrt, std::atan, std::tanh;
  return {
      make("bowl", {0.7, -0.4}, [](auto x) { return x[0] * x[0] + x[1] * x[1]; }),
      make("steep bowl", {0.3, 0.2}, [](auto x) { return 50 * x[0] * x[0] + x[0] * x[1]; }),
      make("flat bowl", {0.9, 0.5}, [](auto x) { return x[0] * x[0] / 100 + x[1]; }),
      make("rosenbrock", {-1.2, 1.0},
           [](auto x) {
             const auto a = 1 - x[0], b = x[1] - x[0] * x[0];
             return a * a + 100 * b * b;
           }),
      make("sine", {0.6, 0.1}, [](auto x) { return sin(x[0]) * cos(x[1]); }),
      make("fast sine", {0.2}, [](auto x) { return sin(10 * x[0]); }),
      make("slow sine", {1.0}, [](auto x) { return 20 * sin(x[0] / 10); }),
      make("exponential", {0.5, 0.5}, [](auto x) { return exp(x[0]) + x[1]; }),
      make("steep exponential", {0.1}, [](auto x) { return exp(5 * x[0]); }),
      make("log-sum-exp", {0.2, -0.3, 0.5}, [](auto x) { return log_sum_exp(x); }),
      make("quartic", {0.8, 0.3}, [](auto x) { return x[0] * x[0] * x[0] * x[0] + x[1] * x[1]; }),
      make("cubic", {0.4}, [](auto x) { return x[0] * x[0] * x[0] - x[0]; }),
      make("logistic", {0.7}, [](auto x) { return log(1 + exp(3 * x[0])); }),
      make("root", {0.6, 0.3}, [](auto x) { return sqrt(1 + x[0] * x[0] + x[1] * x[1]); }),
      make("bell", {0.5, 0.2}, [](auto x) { return -exp(-x[0] * x[0] - x[1] * x[1]); }),
      make("arc tangent", {0.4}, [](auto x) { return atan(2 * x[0]); }),
      make("hyperbolic tangent", {0.3}, [](auto x) { return tanh(x[0]); }),
      make("ill-scaled", {1.0, 1e-3},
           [](auto x) { return 1000 * x[0] * x[0] * x[0] + x[1] / 1000; }),
      make("well of two bottoms", {0.3},
           [](auto x) {
             const auto a = x[0] * x[0] - 1;
             return a * a;
           }),
      make("rational", {0.5}, [](auto x) { return 1 / (1 + x[0] * x[0]); }),
  };
}

inline long double exact_at(const function& of, long double at) {
  std::vector<long double> x(of.x.begin(), of.x.end());
  x[0] = at;
  return of.exact(x);
}

// What a slope at a step is off by, without noise.
inline double truncation(const function& of, bool central, double step) {
  const long double x = of.x[0], h = step, tiny = 1e-5L;
  const long double slope = (8 * (exact_at(of, x + tiny) - exact_at(of, x - tiny)) -
                             (exact_at(of, x + 2 * tiny) - exact_at(of, x - 2 * tiny))) /
                            (12 * tiny);
  const long double found = central ? (exact_at(of, x + h) - exact_at(of, x - h)) / (2 * h)
                                    : (exact_at(of, x + h) - exact_at(of, x)) / h;
  return static_cast<double>(found - slope);
}

inline double noise_of_slope(bool central, double step, double level) {
  return level / step * (central ? std::sqrt(0.5) : std::sqrt(2.0));
}

// Root of the mean square of a slope's error, in closed form.
inline double slope_error(const function& of, bool central, double step, double level) {
  return std::hypot(truncation(of, central, step), noise_of_slope(central, step, level));
}

// The least over a grid of steps. Where the truncation happens to vanish at one step, no method can
// know that: a step counts with the largest truncation up to it unless `lucky`.
inline double least_error(const function& of, bool central, double level, double smallest,
                          bool lucky) {
  double least = infinity, most = 0;
  for (double step = smallest; step <= 1; step *= 1.1) {
    const double off = std::abs(truncation(of, central, step));
    most = std::max(most, off);
    least = std::min(least, std::hypot(lucky ? off : most, noise_of_slope(central, step, level)));
  }
  return least;
}

// Whether no step can be told from noise: what f does within the reach of the search is not 24
// standard deviations (r = 3), as with a sine of 1 and noise of 0.1.
inline bool is_drowned(const function& of, bool central, int digits) {
  return central && digits == 1 && std::string(of.name) == "fast sine";
}

// The promise of the page: noise of 0.01 that cannot be repeated, in 20 dimensions.
struct plant {
  double operator()(std::span<const double> x) const {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += std::exp(x[i]) - x[i] * (1 + 0.04 * static_cast<double>(i));
    }
    return sum;
  }
  static std::vector<double> gradient(const std::vector<double>& x) {
    std::vector<double> g;
    for (std::size_t i = 0; i < x.size(); ++i) {
      g.push_back(std::exp(x[i]) - 1 - 0.04 * static_cast<double>(i));
    }
    return g;
  }
};

}  // namespace testing_zo
