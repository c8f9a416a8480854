// Least squares of a black box: F(x) as small as possible, by Levenberg-Marquardt steps from
// Jacobians of finite differences.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/cge.hpp"
#include "zo/coloring.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/jacobian.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/run.hpp"
#include "zo/vector_map.hpp"

namespace zo {

struct least_squares_options {
  /// Must be set; never exceeded. A Jacobian that cannot be paid, and the step after it, is not
  /// begun.
  std::optional<index_t> max_queries{};
  std::optional<double> target{};  ///< stop when |F(x)|² / 2 is at or below
  std::optional<std::uint64_t> max_steps{};
  /// Converged: no entry of the gradient JᵀF is larger, relative to its column and to F.
  double gradient_tolerance = 1e-8;
  double step_tolerance = 1e-10;  ///< converged: a step is shorter, relative to |x|
  double damping = 1e-3;  ///< of the first step, relative to JᵀJ's diagonal; 0: Gauss-Newton
  index_t chunk_bytes = index_t{64} << 20;  ///< see estimate_options
  std::optional<sample_id> sample{};        ///< handed to sampled maps, the same for all of the run
  std::function<verdict(const step_report&)> on_step{};
};

template <class T>
struct least_squares_result {
  status why = status::budget_spent;
  double value = 0;          ///< |F(x)|² / 2 at the final x; NaN if F failed at the first
  std::vector<T> residuals;  ///< F at the final x
  index_t queries = 0;       ///< really made
  index_t failed = 0;        ///< failed ones among them
  index_t jacobians = 0;     ///< made
  std::uint64_t steps = 0;   ///< that were taken
  std::shared_ptr<const query_failure> failure{};  ///< the first failed query; null: none failed
};

namespace detail {

// min |J s + r|² + damping |D s|², where D² is the largest diagonal of JᵀJ so far (Moré 1978).
// Dense by QR of J over the root of the damping times D, sparse by Cholesky of JᵀJ + damping D².
// Compiled in src/least_squares.cpp with Eigen; without it, making one throws zo::not_compiled.
class damped_steps {
 public:
  damped_steps(index_t rows, index_t columns, const coloring* colors);
  damped_steps(const damped_steps&) = delete;
  damped_steps& operator=(const damped_steps&) = delete;
  ~damped_steps();

  // A new Jacobian and residual.
  void linearize(std::span<const double> values, std::span<const double> residuals);
  const std::vector<double>& gradient() const { return gradient_; }  // Jᵀ r
  // Largest |gradient| entry relative to |column| |r|.
  double slope() const { return slope_; }
  // Solves for the step; false if that fails.
  bool solve(double damping);
  const std::vector<double>& step() const { return step_; }
  // What the model says of the step: the decrease of |r|² / 2.
  double predicted() const;

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
  std::vector<double> scale_;  // D²
  std::vector<double> gradient_, step_;
  double slope_ = 0;
};

inline double half_squares(std::span<const double> r) {
  double sum = 0;
  for (const double one : r) sum += one * one;
  return rounded(sum) / 2;
}

template <class T, class Policy, class F, class Shape, difference_scheme S>
least_squares_result<T> fit(const Policy& policy, F& f, std::span<T> x, index_t outputs,
                            const Shape& shape, const coloring* colors, const cge<S>& how,
                            const least_squares_options& options) {
  constexpr const char* who = "zo::least_squares";
  require(options.max_queries.has_value(), who,
          ": set max_queries, the number of evaluations that may be made");
  require(*options.max_queries >= 0, who, ": max_queries must be at least 0, got ",
          *options.max_queries);
  require(options.damping >= 0 && is_finite(options.damping), who,
          ": damping must be a number of at least 0, got ", options.damping);
  const auto dimension = static_cast<index_t>(x.size());
  const std::span<const T> at = x;
  estimate_options now{.sample = options.sample.value_or(0), .chunk_bytes = options.chunk_bytes};
  check_map_call<T>(who, at, outputs, now, {});
  const auto began = std::chrono::steady_clock::now();
  const failure_policy failures = how.options().failures;
  check_plain("zo::least_squares", failures);
  const index_t budget = *options.max_queries;
  // Of one Jacobian, F(x) being known.
  const index_t price =
      S::points *
      (colors != nullptr ? colors->colors() : selected_count(how.options().coordinates, dimension));

  least_squares_result<T> result;
  result.value = std::numeric_limits<double>::quiet_NaN();
  const auto end = [&](status why) {
    result.why = why;
    return std::move(result);
  };
  map_report report;
  const auto count = [&] {
    result.queries += report.queries;
    result.failed += report.failed;
    if (result.failure == nullptr) result.failure = report.failure;
    report = {};
  };
  const auto answer = [&](std::span<const T> point, std::vector<T>& y) {
    const bool good = answer_at(policy, f, point, outputs, now, failures, {}, y, report);
    count();
    return good;
  };

  if (budget < 1) return end(status::budget_spent);
  if (!answer(at, result.residuals)) return end(status::query_failed);
  std::vector<double> r(result.residuals.begin(), result.residuals.end());
  result.value = half_squares(r);
  if (!is_finite(result.value)) return end(status::out_of_range);

  damped_steps steps(outputs, dimension, colors);
  jacobian_workspace<T> memory;
  std::vector<T> next(x.size()), next_y;
  std::vector<double> next_r(r.size());
  double damping = options.damping, growth = 2;
  constexpr double most_damping = 1e15;
  for (;;) {
    if (options.target && result.value <= *options.target) return end(status::target_reached);
    if (options.max_steps && result.steps >= *options.max_steps) return end(status::steps_done);
    if (price + 1 > budget - result.queries) return end(status::budget_spent);
    const jacobian_result<T>& j =
        jacobian(policy, f, at, shape, how, now, std::span<const T>(result.residuals), memory);
    ++result.jacobians;
    report = {j.queries, j.failed, j.failure};
    count();
    if (!j.ok) return end(status_of(j.why));
    const std::vector<double> values(j.values.begin(), j.values.end());
    steps.linearize(values, r);
    if (steps.slope() <= options.gradient_tolerance) return end(status::converged);
    for (bool taken = false; !taken;) {
      if (result.queries >= budget) return end(status::budget_spent);
      double length = 0, size = 0;
      bool moves = steps.solve(damping);
      if (moves) {
        bool changed = false;
        for (std::size_t i = 0; i < next.size(); ++i) {
          next[i] = static_cast<T>(static_cast<double>(x[i]) + steps.step()[i]);
          length += steps.step()[i] * steps.step()[i];
          size += static_cast<double>(x[i]) * static_cast<double>(x[i]);
          changed |= next[i] != x[i];
        }
        if (!changed || std::sqrt(length) <=
                            options.step_tolerance * (std::sqrt(size) + options.step_tolerance)) {
          return end(status::converged);
        }
        moves = all_finite(dimension, next.data());
      }
      double gain = -1, value = 0;
      if (moves && answer(next, next_y)) {
        std::ranges::copy(next_y, next_r.begin());
        value = half_squares(next_r);
        const double predicted = steps.predicted();
        if (is_finite(value) && predicted > 0) gain = (result.value - value) / predicted;
      } else if (moves && failures == on_failure::stop) {
        return end(status::query_failed);
      }
      constexpr double enough = 1e-4;
      if (gain > enough) {
        taken = true;
        std::ranges::copy(next, x.begin());
        std::swap(result.residuals, next_y);
        std::swap(r, next_r);
        result.value = value;
        ++result.steps;
        const double cubed = (2 * gain - 1) * (2 * gain - 1) * (2 * gain - 1);
        damping *= std::max(1.0 / 3, 1 - cubed);
        growth = 2;
      } else {
        damping = damping > 0 ? damping * growth : 1e-3;
        growth *= 2;
        if (damping > most_damping) return end(status::converged);
      }
    }
    ++now.step;
    if (options.on_step) {
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      const step_report made{.step = result.steps - 1,
                             .queries = result.queries,
                             .value = result.value,
                             .failed = result.failed,
                             .best = result.value,
                             .seconds = seconds,
                             .x = at};
      if (options.on_step(made) == verdict::stop) return end(status::callback_stopped);
    }
  }
}

}  // namespace detail

/// Makes |F(x)|² / 2 small from x, which is overwritten, by Levenberg-Marquardt steps: each from a
/// Jacobian of finite differences at x (zo::jacobian; F(x) is not asked again) and as many trial
/// points as it takes, one query each, until one is better. x is always the best point so far.
///
/// Queries of a step: those of the Jacobian, n or a multiple (or the number of colors), and 1 for
/// each trial. Memory: a dense Jacobian is factored with n rows below it, (m + n) n numbers; a
/// colored one by a sparse Cholesky factor of JᵀJ. Under on_failure::drop a trial that fails is a
/// step too far, which is damped; a failed column of J is zero. Ends: minimize's, and
/// status::converged. Needs Eigen where zo is built, else it throws zo::not_compiled. Sources: Moré
/// 1978 (scaling); Nielsen, IMM-REP-1999-05 (damping).
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S = forward>
requires detail::writable<X> && vector_map<std::remove_reference_t<F>, scalar_of<X>>
    least_squares_result<scalar_of<X>> least_squares(
        const Policy& policy, F&& f, X&& x, index_t outputs, const least_squares_options& options,
        const cge<S>& how = cge<S>({.smoothing = 1e-6})) {
  using T = scalar_of<X>;
  const std::span<T> at(std::ranges::data(x), std::ranges::size(x));
  return detail::fit<T>(policy, f, at, outputs, outputs, nullptr, how, options);
}

/// The same with Jacobians of a known pattern.
template <execution_policy Policy, class F, contiguous_vector X, difference_scheme S = forward>
requires detail::writable<X> && vector_map<std::remove_reference_t<F>, scalar_of<X>>
    least_squares_result<scalar_of<X>> least_squares(
        const Policy& policy, F&& f, X&& x, const coloring& colors,
        const least_squares_options& options, const cge<S>& how = cge<S>({.smoothing = 1e-6})) {
  using T = scalar_of<X>;
  const std::span<T> at(std::ranges::data(x), std::ranges::size(x));
  return detail::fit<T>(policy, f, at, colors.pattern().rows, colors, &colors, how, options);
}

}  // namespace zo
