// Gray box: gradients at the boundary of a black box, to be handed to someone else's
// back-propagation.
//
// A network z = encoder(denoiser(x)) is known, the classifier behind it only answers queries. The
// chain rule needs just one thing from the black box: dL_b/dz_b for each row b of the batch of
// latents. This estimates it. The surrogate sum_b <z_b, gradient_b>, back-propagated through the
// known part, then has the gradient of the whole loss (ZO-AE-DS, ICLR 2022, eq. 8).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/estimator.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/shared.hpp"

namespace zo {

/// What the black box said about a batch of B rows of d coordinates.
template <class T>
struct boundary_result {
  std::vector<double> losses;  ///< B: f at each row; central differences: mean of the row's answers
  std::vector<T> gradients;    ///< B x d, row-major: estimate of dL_b / dz_b; zero for a failed row
  index_t queries = 0;         ///< rows answered, candidates and base points together
  index_t failed = 0;          ///< failed answers among them
  bool ok = true;              ///< false: no gradient; all zeros
  flaw why = flaw::none;       ///< of an estimate that is not ok
  std::shared_ptr<const query_failure> failure{};  ///< the first failed answer; null: none failed
  std::shared_ptr<const smoothing_choice> automatic{};  ///< mu of zo::automatic; null without it
};

namespace detail {

template <class T>
void check_rows(const char* who, const points<T>& z, const estimate_options& options) {
  check_dimension(who, z.dimension);
  check_options(who, options);
  require(z.count >= 1, who, ": z has no rows; give at least 1");
  const index_t numbers = checked_product(who, z.count, z.dimension);
  require(static_cast<index_t>(z.data.size()) == numbers, who, ": z of ", z.count, " rows of ",
          z.dimension, " needs ", numbers, " numbers, got ", z.data.size());
  check_memory(who, "z", z.data.data());
  check_known_values(who, options, z.count);
}

}  // namespace detail

/// Estimates loss and gradient of every row of `z` under a black box that answers rows: a whole
/// batch in a call (rowwise_objective), or one row at a time (row_objective), in parallel under
/// zo::par. Rows are independent and have directions of their own; coordinates of
/// random_coordinates are shared by the rows. Queries: rows * how.queries(dimension). Memory:
/// candidates of `chunk_bytes`, and O(rows * dimension). Under on_failure::drop a row that is left
/// with no slope has a zero gradient.
template <execution_policy Policy, class F, class T, class How>
requires(detail::rule(rowwise_objective<F, T> || row_objective<F, T>,
                      "zo: a black box at a boundary is called as f(zo::points<T>, "
                      "std::span<const zo::index_t> rows, std::span<double> losses), or as "
                      "f(std::span<const T> point, zo::index_t row) -> loss"))
    boundary_result<T> boundary(const Policy& policy, F&& f, points<T> z, const How& how,
                                const estimate_options& options = {}) {
  detail::check_rows("zo::boundary", z, options);
  const auto numbers = static_cast<index_t>(z.data.size());
  detail::agree_on_estimate<T>(
      detail::team_of(policy), numbers, z.count,
      [&how](detail::fingerprint& print) { detail::describe(how, print); }, options,
      [&z] { return detail::fingerprint().add(z.data).value(); });
  boundary_result<T> result;
  result.losses.resize(static_cast<std::size_t>(z.count));
  result.gradients.resize(z.data.size());
  const row_problem<T> problem{z.data.data(), z.count, z.dimension, result.gradients.data(),
                               result.losses.data()};
  workspace<T> memory;
  estimate_result estimated;
  if constexpr (rowwise_objective<F,
                                  T>) {  // by rows, also where F can answer single points as well
    auto by_rows = [&f](points<T> candidates, std::span<const index_t> rows,
                        std::span<double> losses) { f(candidates, rows, losses); };
    estimated = detail::estimate_rows(policy, by_rows, problem, how, options, memory);
  } else {
    detail::one_row_at_a_time<std::remove_reference_t<F>> one{f};
    estimated = detail::estimate_rows(policy, one, problem, how, options, memory);
  }
  result.queries = estimated.queries;
  result.failed = estimated.failed;
  result.ok = estimated.ok;
  result.why = estimated.why;
  result.failure = estimated.failure;
  result.automatic = estimated.automatic;
  return result;
}

}  // namespace zo
