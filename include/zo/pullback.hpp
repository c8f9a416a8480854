// The vector-Jacobian product of a black box with vector answers: the cotangent v = dL/dy behind it
// becomes J(x)ᵀ v in front of it.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "zo/boundary.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/estimator.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/shared.hpp"
#include "zo/vector_map.hpp"

namespace zo {

template <class T>
struct pullback_result {
  std::vector<T> y;          ///< B x m: F at each row of x; NaN for a row that failed there
  std::vector<T> gradients;  ///< B x n: estimate of J(x_b)ᵀ v_b; zero for a failed row
  index_t queries = 0;       ///< evaluations of F
  index_t failed = 0;        ///< those among them that failed
  bool ok = true;            ///< false: no gradient; all zeros
  flaw why = flaw::none;     ///< of an estimate that is not ok
  std::shared_ptr<const query_failure> failure{};  ///< the first failed query; null: none failed
};

namespace detail {

// What an answer is worth: <v_b, y - y_b>, so that the slopes of these numbers along u are those
// of <v, F>.
template <class T>
struct paired_answers {
  index_t outputs = 0;
  const T* v = nullptr;
  index_t per_row = 0;      // numbers of v from row to row; 0: one for all
  const T* base = nullptr;  // F at the rows of x
  bool differences = false;

  static index_t row_of(index_t row) { return row; }
  static T* place(index_t) { return nullptr; }
  double take(index_t row, std::span<const T> y) const {
    const T* const at = base + row * outputs;
    if (!is_finite(at[0])) return 0;  // its row has failed already
    return pairing(outputs, v + row * per_row, y.data(), differences ? nullptr : at);
  }
};

template <class T>
void check_pullback(const points<T>& x, const points<T>& v, const estimate_options& options,
                    std::span<const T> known_y) {
  constexpr const char* who = "zo::pullback";
  check_dimension(who, x.dimension);
  require(x.count >= 1, who, ": x has no rows; give at least 1");
  const index_t numbers = checked_product(who, x.count, x.dimension);
  require(static_cast<index_t>(x.data.size()) == numbers, who, ": x of ", x.count, " rows of ",
          x.dimension, " needs ", numbers, " numbers, got ", x.data.size());
  check_memory(who, "x", x.data.data());
  require(v.dimension >= 1, who, ": v must have at least 1 number, as many as y");
  require(v.count == 1 || v.count == x.count, who, ": v must have one row, or as many as x, got ",
          v.count, " and ", x.count);
  require(static_cast<index_t>(v.data.size()) == checked_product(who, v.count, v.dimension), who,
          ": v of ", v.count, " rows of ", v.dimension, " needs ", v.count * v.dimension,
          " numbers, got ", v.data.size());
  check_memory(who, "v", v.data.data());
  require(all_finite(static_cast<index_t>(v.data.size()), v.data.data()), who,
          ": a number of v is not finite");
  const index_t answers = checked_product(who, x.count, v.dimension);
  require(known_y.empty() || static_cast<index_t>(known_y.size()) == answers, who,
          ": known_y must be empty or have ", answers, " numbers, got ", known_y.size());
  check_options(who, options);
  require(options.known_values.empty(), who,
          ": known_values are losses; hand answers that are known in as known_y");
}

}  // namespace detail

/// Estimates J(x_b)ᵀ v_b for each of B rows x_b of n numbers, where F: Rⁿ -> Rᵐ is asked only, and
/// v has a cotangent of m numbers for each row, or one for all of them. Rows are independent, as in
/// zo::boundary, which is the case of one number.
///
/// Differences of the answers are formed in double, number by number, before the product with v;
/// nothing of size m x n is stored, and v does not travel between processes. F at the rows of x is
/// asked once, all rows together, unless `known_y` (B x m) has it; then the estimator asks its own
/// points.
///
/// Queries: B (1 + q) forward, B (1 + 2 q) central, for q directions or coordinates; B fewer with
/// known_y. Memory: O(B (n + m)), candidates and their answers of `chunk_bytes` together (at least
/// one) under a batch map, n + m numbers a thread under others. Under on_failure::drop a failed
/// query leaves its direction or coordinate out, and a row that failed at x itself has a zero
/// gradient. Throws std::invalid_argument for bad sizes or options, and what F throws
/// (on_failure::stop). Sources: ZO-AE-DS, ICLR 2022, eq. 8; (FG)²U, NeurIPS 2024.
template <execution_policy Policy, class F, class T, class How>
requires vector_map<std::remove_reference_t<F>, T> && estimator_on<How, machine<T>>
    pullback_result<T> pullback(const Policy& policy, F&& f, points<T> x,
                                std::type_identity_t<points<T>> v, const How& how,
                                const estimate_options& options = {},
                                std::type_identity_t<std::span<const T>> known_y = {}) {
  using map = std::remove_reference_t<F>;
  detail::check_pullback(x, v, options, known_y);
  const index_t outputs = v.dimension;
  detail::team* const others = detail::team_of(policy);
  detail::agree_on_estimate<T>(
      others, static_cast<index_t>(x.data.size()), x.count,
      [&](detail::fingerprint& print) {
        print.add("zo::pullback").add(outputs).add(known_y.empty());
        detail::describe(how, print);
      },
      options, [&] { return detail::fingerprint().add(x.data).add(v.data).add(known_y).value(); });

  pullback_result<T> result;
  result.y.assign(static_cast<std::size_t>(x.count * outputs), T(0));
  result.gradients.assign(x.data.size(), T(0));
  detail::map_report asked;
  const failure_policy failures = detail::failures_of(how);
  detail::check_plain("zo::pullback", failures);
  if (known_y.empty() || difference_map<map, T>) {
    detail::ask_at_rows(policy, f, x, outputs, options, failures, result.y.data(), asked);
  } else {
    std::ranges::copy(known_y, result.y.begin());
  }
  result.queries = asked.queries;
  result.failed = asked.failed;
  result.failure = asked.failure;

  // Forward differences start from <v, y_b - y_b>.
  std::vector<double> known(static_cast<std::size_t>(x.count), 0.0);
  index_t sound = 0;
  for (index_t b = 0; b < x.count; ++b) {
    T* const y = result.y.data() + b * outputs;
    if (detail::all_finite(outputs, y)) {
      ++sound;
    } else {
      std::fill_n(y, outputs, std::numeric_limits<T>::quiet_NaN());
      known[static_cast<std::size_t>(b)] = detail::failed_query;
    }
  }
  if (sound == 0 || (sound < x.count && failures == on_failure::stop)) {
    result.ok = false;
    result.why = flaw::query_failed;
    return result;
  }

  const detail::paired_answers<T> paired{outputs, v.data.data(), v.count == 1 ? 0 : outputs,
                                         result.y.data(), difference_map<map, T>};
  detail::asked_map<T, Policy, map, detail::paired_answers<T>> answers(
      policy, f, outputs, options.sample.value_or(options.step), paired);
  estimate_options own = options;
  own.known_values = known;
  own.chunk_bytes = detail::candidate_bytes(options.chunk_bytes, x.dimension, outputs);
  const row_problem<T> problem{x.data.data(), x.count, x.dimension, result.gradients.data(),
                               nullptr};
  workspace<T> memory;
  estimate_result estimated;
  if constexpr (detail::asked_by_chunks<map, T>) {
    estimated = detail::estimate_rows(policy, answers, problem, how, own, memory);
  } else {
    detail::one_row_at_a_time<decltype(answers)> one{answers};
    estimated = detail::estimate_rows(policy, one, problem, how, own, memory);
  }
  result.queries += estimated.queries;
  result.failed += estimated.failed;
  result.ok = estimated.ok;
  result.why = estimated.why;
  if (result.failure == nullptr && estimated.failure != nullptr) {
    query_failure failure = *estimated.failure;
    if (failure.why.starts_with("the answer is")) failure.why = detail::why_failed({});
    result.failure = std::make_shared<query_failure>(std::move(failure));
  }
  return result;
}

/// The same at one point.
template <execution_policy Policy, class F, contiguous_vector X, contiguous_vector V, class How>
requires detail::same_scalar<X, V> && vector_map<std::remove_reference_t<F>, scalar_of<X>> &&
    estimator_on<How, machine<scalar_of<X>>>
        pullback_result<scalar_of<X>> pullback(const Policy& policy, F&& f, const X& x, const V& v,
                                               const How& how, const estimate_options& options = {},
                                               std::span<const scalar_of<X>> known_y = {}) {
  using T = scalar_of<X>;
  const std::span<const T> at(std::ranges::data(x), std::ranges::size(x));
  const std::span<const T> along(std::ranges::data(v), std::ranges::size(v));
  return pullback(policy, f, points<T>{at, 1, static_cast<index_t>(at.size())},
                  points<T>{along, 1, static_cast<index_t>(along.size())}, how, options, known_y);
}

}  // namespace zo
