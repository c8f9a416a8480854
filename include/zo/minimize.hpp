// Whole runs of an objective that is called.
#pragma once

#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>

#include "zo/black_box.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/estimator.hpp"
#include "zo/line_search.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/optimizer.hpp"
#include "zo/run.hpp"
#include "zo/shared.hpp"

namespace zo {

namespace detail {

// One step of any updater. False if x or the updater's state is not finite any more.
template <class Policy, class Updater, class T>
bool step_of(const Policy& policy, Updater& updater, std::span<T> x, std::span<const T> gradient) {
  if constexpr (requires {
                  { updater.step(policy, x, gradient) } -> std::same_as<bool>;
                }) {
    return updater.step(policy, x, gradient);
  } else {
    updater.step(policy, x, gradient);
    return all_finite(static_cast<index_t>(x.size()), x.data());
  }
}

template <class T, class Updater>
line_search<T>* search_of([[maybe_unused]] Updater& updater) {
  if constexpr (kept_search<Updater, T>) return &updater;
  return nullptr;
}

template <class Updater>
std::optional<std::uint64_t> steps_of(const Updater& updater) {
  if constexpr (requires {
                  { updater.steps() } -> std::convertible_to<std::uint64_t>;
                }) {
    return static_cast<std::uint64_t>(updater.steps());
  }
  return {};
}

}  // namespace detail

/// Minimizes `f` from `x` in place: estimates of kind `how`, steps of `optimizer` (zo::sgd,
/// zo::adam, …, or an updater that is kept between calls).
///
/// An estimate that max_queries cannot pay, with one query more for the final value, is not begun.
/// A target is compared with f(x) itself: forward differences know it, central ones ask it, one
/// query more a step. Memory: gradient, x before the last step, optimizer state and the
/// estimator's. A step to an x where f fails, or that is not finite, is undone; a kept updater has
/// made it. Throws std::invalid_argument for bad options and what `f` throws (on_failure::stop),
/// with x at the last good point. The whole run is the same bits for every policy, thread count,
/// chunk size and instruction set.
template <execution_policy Policy, class F, contiguous_vector X, class How, class Optimizer>
requires detail::writable<X> && estimator_for<How, F, scalar_of<X>> &&
    detail::optimizer_for<Optimizer, scalar_of<X>>
        minimize_result minimize(const Policy& policy, F&& f, X&& x, const How& how,
                                 Optimizer&& optimizer, const minimize_options& options) {
  using T = scalar_of<X>;
  const std::span<T> point(std::ranges::data(x), std::ranges::size(x));
  const auto dimension = static_cast<index_t>(point.size());
  detail::check_dimension("zo::minimize", dimension);
  detail::check_memory("zo::minimize", "x", point.data());
  const auto run = [&](auto& moves, std::optional<std::uint64_t> steps_before) {
    workspace<T> memory;
    detail::local_black_box<T, std::remove_reference_t<F>, Policy> answers(
        policy, f, memory.buffers().candidates, memory.buffers().rows);
    machine<T> here(&answers, detail::team_of(policy), memory);
    detail::running<machine<T>, How> estimator(here, how);
    const auto step = [&](T* to, const T* gradient) {
      if constexpr (detail::kept_search<decltype(moves), T>) {
        return false;
      } else {
        return detail::step_of(policy, moves, std::span<T>(to, point.size()),
                               std::span<const T>(gradient, point.size()));
      }
    };
    detail::minimize_run<machine<T>> whole(here, estimator, point.data(), dimension, step,
                                           steps_before, options, detail::search_of<T>(moves));
    return detail::run_to_the_end(here, whole);
  };
  if constexpr (updater_for<Optimizer, T> || detail::kept_search<Optimizer, T>) {
    return run(optimizer, detail::steps_of(optimizer));
  } else if constexpr (detail::search_rule<Optimizer, T>) {
    auto kept = optimizer.template search<T>(dimension);
    return run(kept, {});
  } else {
    updater<std::remove_cvref_t<Optimizer>, T> kept(optimizer, dimension);
    return run(kept, {});
  }
}

template <class F, contiguous_vector X, class How, class Optimizer>
requires(!execution_policy<F>) void minimize(const F&, X&&, const How&, Optimizer&&,
                                             const minimize_options&) =
    delete;  // where loops run is said first: zo::minimize(zo::seq, f, …) or zo::par

}  // namespace zo
