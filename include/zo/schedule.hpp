// Learning-rate schedules: the rate as a function of the step.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "zo/error.hpp"
#include "zo/finite.hpp"

namespace zo {

/// A learning rate for each step, counted from 0. A plain number is a constant schedule; any
/// callable double(std::uint64_t) is a schedule too.
class schedule {
 public:
  schedule(double rate) : at_([rate](std::uint64_t) { return rate; }) {  // NOLINT: `.rate = 0.1`
    detail::require(rate >= 0 && detail::is_finite(rate),
                    "zo::schedule: the rate must be a number of at least 0, got ", rate);
  }
  template <class F>
  requires std::is_invocable_r_v<double, F, std::uint64_t> &&
      (!std::convertible_to<F, double>)schedule(F at)
      : at_(std::move(at)) {}  // NOLINT: `.rate = zo::cosine(…)`

  /// The rate at a step. Throws std::invalid_argument when it is negative or not finite.
  double operator()(std::uint64_t step) const {
    const double rate = at_(step);
    detail::require(rate >= 0 && detail::is_finite(rate), "zo::schedule: the rate at step ", step,
                    " must be a number of at least 0, got ", rate);
    return rate;
  }

 private:
  std::function<double(std::uint64_t)> at_;
};

struct cosine_options {
  double peak = 0.1;         ///< rate after the warm-up
  std::uint64_t steps = 1;   ///< length of the whole schedule, warm-up included
  std::uint64_t warmup = 0;  ///< steps of linear growth; step w has peak * (w + 1) / warmup
  double last = 0.0;         ///< rate from `steps` on
};

struct step_decay_options {
  double start = 0.1;
  double factor = 0.1;
  std::uint64_t every = 1;  ///< steps between two multiplications by `factor`
};

namespace detail {

// Compiled in src/schedule.cpp from exactly rounded operations: library functions differ in the
// last bit between machines, and a run must not.
double cosine_of_half_turns(double t);              // cos(pi t) for t in [0, 1]
double power(double base, std::uint64_t exponent);  // by squaring

}  // namespace detail

namespace detail {

inline void check_rate_of(const char* who, const char* what, double value) {
  require(value >= 0 && is_finite(value), who, ": ", what, " must be a number of at least 0, got ",
          value);
}

}  // namespace detail

/// Linear warm-up to `peak`, then half a cosine down to `last`.
/// Source: Loshchilov and Hutter, ICLR 2017, without restarts.
inline schedule cosine(cosine_options options) {
  detail::require(options.steps > options.warmup, "zo::cosine: steps must exceed warmup, got ",
                  options.steps, " and ", options.warmup);
  detail::check_rate_of("zo::cosine", "peak", options.peak);
  detail::check_rate_of("zo::cosine", "last", options.last);
  return schedule([options](std::uint64_t step) {
    if (step < options.warmup) {
      return options.peak * static_cast<double>(step + 1) / static_cast<double>(options.warmup);
    }
    if (step >= options.steps) return options.last;
    const double t = static_cast<double>(step - options.warmup) /
                     static_cast<double>(options.steps - options.warmup);
    const double weight = 0.5 * (1.0 + detail::cosine_of_half_turns(t));
    return std::fma(options.peak - options.last, weight, options.last);
  });
}

/// `start`, multiplied by `factor` after every `every` steps.
inline schedule step_decay(step_decay_options options) {
  detail::require(options.every >= 1, "zo::step_decay: every must be at least 1, got ",
                  options.every);
  detail::check_rate_of("zo::step_decay", "start", options.start);
  detail::check_rate_of("zo::step_decay", "factor", options.factor);
  return schedule([options](std::uint64_t step) {
    return options.start * detail::power(options.factor, step / options.every);
  });
}

}  // namespace zo
