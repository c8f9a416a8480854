// One gradient estimate: objective, point, estimator and machine on one line.
#pragma once

#include <concepts>
#include <functional>
#include <ranges>
#include <span>
#include <utility>

#include "zo/black_box.hpp"
#include "zo/cge.hpp"  // IWYU pragma: export
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/rge.hpp"  // IWYU pragma: export
#include "zo/shared.hpp"

namespace zo {

namespace detail {

template <class X, class G>
concept same_scalar = rule(std::same_as<scalar_of<X>, scalar_of<G>>,
                           "zo: x and gradient must both be float or both be double");

template <class X>
concept writable = rule(std::is_assignable_v<std::ranges::range_reference_t<X>, scalar_of<X>>,
                        "zo: x of zo::minimize and the gradient of zo::estimate are written: they "
                        "must not be const");

template <class Policy, class F, class T, class How>
estimate_result estimate_rows(const Policy& policy, F& f, const row_problem<T>& problem,
                              const How& how, const estimate_options& options,
                              workspace<T>& memory) {
  local_black_box<T, F, Policy> answers(policy, f, memory.buffers().candidates,
                                        memory.buffers().rows);
  machine<T> here(&answers, team_of(policy), memory);
  auto run = how.start(here);
  make_estimate(here, run, problem, options);
  estimate_result result = here.result();
  result.automatic = automatic_of(run);
  return result;
}

}  // namespace detail

/// Writes an estimate of the gradient of `f` at `x` into `gradient` (both d numbers, float or
/// double).
///
/// RGE asks whole points: scalar, sampled and batch objectives. CGE also asks coordinate
/// objectives, by their probes. x is never written, also when `f` throws; gradient must not overlap
/// x. Cost: how.queries(d) queries. Memory: see the estimator; `memory` keeps the buffers for the
/// next estimate. Throws std::invalid_argument for bad sizes or options, and what `f` throws
/// (on_failure::stop); gradient may then be partly written. The result is the same bits for every
/// policy, thread count, chunk size and instruction set.
template <execution_policy Policy, class F, contiguous_vector X, contiguous_vector G, class How>
requires detail::same_scalar<X, G> && detail::writable<G> && estimator_for<How, F, scalar_of<G>>
    estimate_result estimate(const Policy& policy, F&& f, const X& x, G&& gradient, const How& how,
                             const estimate_options& options, workspace<scalar_of<G>>& memory) {
  using T = scalar_of<G>;
  const std::span<const T> from(std::ranges::data(x), std::ranges::size(x));
  const std::span<T> to(std::ranges::data(gradient), std::ranges::size(gradient));
  constexpr const char* who = "zo::estimate";
  detail::check_dimension(who, static_cast<index_t>(from.size()));
  detail::require(from.size() == to.size(), who,
                  ": gradient must have as many coordinates as x, got ", to.size(), " and ",
                  from.size());
  detail::check_memory(who, "x", from.data());
  detail::check_memory(who, "gradient", to.data());
  const std::less_equal<const T*> before;  // a total order, also between different arrays
  detail::require(
      before(to.data() + to.size(), from.data()) || before(from.data() + from.size(), to.data()),
      who, ": gradient must not overlap x");
  detail::check_options(who, options);
  detail::check_known_values(who, options, 1);
  const detail::in_use::hold alone(who, memory.use());
  const auto dimension = static_cast<index_t>(from.size());
  detail::agree_on_estimate<T>(
      detail::team_of(policy), dimension, 1,
      [&how](detail::fingerprint& print) { detail::describe(how, print); }, options,
      [from] { return detail::fingerprint().add(from).value(); });
  const row_problem<T> problem{from.data(), 1, dimension, to.data(), nullptr};
  return detail::estimate_rows(policy, f, problem, how, options, memory);
}

template <execution_policy Policy, class F, contiguous_vector X, contiguous_vector G, class How>
requires detail::same_scalar<X, G> && detail::writable<G> && estimator_for<How, F, scalar_of<G>>
    estimate_result estimate(const Policy& policy, F&& f, const X& x, G&& gradient, const How& how,
                             const estimate_options& options = {}) {
  workspace<scalar_of<G>> memory;
  return estimate(policy, f, x, gradient, how, options, memory);
}

template <class F, contiguous_vector X, contiguous_vector G, class How>
requires(!execution_policy<F>) void estimate(const F&, const X&, G&&, const How&,
                                             const estimate_options& = {}) =
    delete;  // where loops run is said first: zo::estimate(zo::seq, f, …) or zo::par

}  // namespace zo
