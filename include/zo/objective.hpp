// What a user may hand in: objectives, recognised by concept and never inherited from.
//
//   scalar      f(x) -> loss
//   lazy        f.part(part of x) -> part of the loss     see zo/lazy.hpp
//   sampled     f(x, sample) -> loss           one sample for all queries of an estimate
//   batch       f(points, losses)              many candidates in one call
//               f(points, losses, sample)
//   rowwise     f(points, rows, losses)        independent rows, a loss and a gradient each
//   row         f(point, row) -> loss          the same, one at a time (zo::boundary)
//   coordinate  f.prepare(x, sample) -> loss   then f.probe(coordinates, steps, differences)
//               f.prepare(on, x, sample), f.probe(on, coordinates, steps, differences)
//                                              on: the policy of the call, whose threads it may use
//
// Losses are double in every scalar type, because estimates subtract losses that lie close
// together.
#pragma once

#include <concepts>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/lazy.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// Candidate points, row-major: count rows of `dimension` coordinates each.
template <class T>
struct points {
  std::span<const T> data;
  index_t count = 0;
  index_t dimension = 0;

  std::span<const T> operator[](index_t k) const {
    return data.subspan(static_cast<std::size_t>(k * dimension),
                        static_cast<std::size_t>(dimension));
  }
};

/// A contiguous range of float or double: std::vector, std::array, std::span, … (zo/eigen.hpp adds
/// Eigen's vectors).
template <class X>
concept contiguous_vector = std::ranges::contiguous_range<X> && std::ranges::sized_range<X> &&
    detail::rule(scalar<std::remove_cvref_t<std::ranges::range_reference_t<X>>>,
                 "zo: a point consists of float or double");

template <contiguous_vector X>
using scalar_of = std::remove_cvref_t<std::ranges::range_reference_t<X>>;

template <class F, class T>
concept scalar_objective = requires(F& f, std::span<const T> x) {
  { f(x) } -> std::convertible_to<double>;
};

template <class F, class T>
concept sampled_objective = requires(F& f, std::span<const T> x, sample_id sample) {
  { f(x, sample) } -> std::convertible_to<double>;
};

template <class F, class T>
concept plain_batch_objective = requires(F& f, points<T> candidates, std::span<double> losses) {
  f(candidates, losses);
};

template <class F, class T>
concept sampled_batch_objective = requires(F& f, points<T> candidates, std::span<double> losses,
                                           sample_id sample) {
  f(candidates, losses, sample);
};

/// One call answers a chunk of candidates: losses[k] = f(candidates[k]).
template <class F, class T>
concept batch_objective = plain_batch_objective<F, T> || sampled_batch_objective<F, T>;

/// Candidate j is a perturbed version of row rows[j]; losses[j] is that row's loss.
template <class F, class T>
concept rowwise_objective = requires(F& f, points<T> candidates, std::span<const index_t> rows,
                                     std::span<double> losses) {
  f(candidates, rows, losses);
};

/// The same for one point at a time, as a program that simulates one row answers: zo::boundary asks
/// it in parallel under zo::par.
template <class F, class T>
concept row_objective = requires(F& f, std::span<const T> point, index_t row) {
  { f(point, row) } -> std::convertible_to<double>;
};

namespace detail {

template <class F, class T>
concept plain_coordinate_objective = requires(F& f, std::span<const T> x, sample_id sample,
                                              std::span<const index_t> coordinates,
                                              std::span<const T> steps,
                                              std::span<double> differences) {
  { f.prepare(x, sample) } -> std::convertible_to<double>;
  f.probe(coordinates, steps, differences);
};
template <class F, class T, class Policy = sequential_policy>
concept threaded_coordinate_objective = requires(F& f, const Policy& on, std::span<const T> x,
                                                 sample_id sample,
                                                 std::span<const index_t> coordinates,
                                                 std::span<const T> steps,
                                                 std::span<double> differences) {
  { f.prepare(on, x, sample) } -> std::convertible_to<double>;
  f.probe(on, coordinates, steps, differences);
};

}  // namespace detail

/// prepare(x, sample) returns f(x) and may cache; probe then writes
/// differences[k] = f(x + steps[k] e_{coordinates[k]}) - f(x): the difference itself, so that an
/// objective that can form it without cancellation does. x stays valid and unchanged until the last
/// probe. Steps of several coordinates are never taken together, but one call may hold a coordinate
/// twice: central differences ask all upper sides and then all lower ones, so that each entry must
/// be answered by its own step. Each entry counts as one query, and prepare as one; a probe that
/// costs less may return the queries it really made, from 0 to as many as it has entries.
///
/// Both are called from one thread at a time. An objective that can share its own work among
/// threads takes the policy of the call first, of whatever type: prepare(on, x, sample) and
/// probe(on, coordinates, steps, differences), with `const zo::execution_policy auto& on`. It uses
/// at most on.threads() of them, and its answers do not depend on how many. One that has both forms
/// is asked by this one.
template <class F, class T>
concept coordinate_objective =
    detail::plain_coordinate_objective<F, T> || detail::threaded_coordinate_objective<F, T>;

/// A coordinate objective whose probes differ in price may say so by cost(coordinate), positive and
/// in any unit: processes that share the probes then have shares of equal cost.
template <class F>
concept priced_objective = requires(const F& f, index_t coordinate) {
  { f.cost(coordinate) } -> std::convertible_to<double>;
};

/// An objective that answers whole points: what RGE needs.
template <class F, class T>
concept point_objective = scalar_objective<F, T> || sampled_objective<F, T> ||
    batch_objective<F, T> || lazy_objective<F, T>;

namespace detail {

template <class F, class T>
concept some_objective = point_objective<F, T> || coordinate_objective<F, T>;

// Natural mistakes, told apart for the sake of the sentence.
template <class F, class T>
concept mistaken = !some_objective<F, T> && !std::invocable<F&, std::span<const T>>;
template <class F, class T>
concept point_objective_of_vectors = mistaken<F, T> && requires(F& f, const std::vector<T>& x) {
  f(x);
};
template <class F, class T>
concept point_objective_that_writes = mistaken<F, T> && std::invocable<F&, std::span<T>>;
template <class F, class T>
concept point_objective_of_another_scalar = mistaken<F, T> &&
    (std::invocable<F&, std::span<const float>> || std::invocable<F&, std::span<const double>>);

}  // namespace detail

template <class F, class T>
concept objective =
    detail::rule(!detail::point_objective_of_vectors<F, T>,
                 "zo: let the objective take std::span<const double> (or float, as x) instead of "
                 "std::vector: a view of the point, not a copy") &&
    detail::rule(!detail::point_objective_that_writes<F, T>,
                 "zo: let the objective take std::span<const double> (or float, as x): it must not "
                 "write the point") &&
    detail::rule(
        !detail::point_objective_of_another_scalar<F, T>,
        "zo: the objective takes float and x is double, or the reverse: use one of them") &&
    detail::rule(point_objective<F, T> || coordinate_objective<F, T>,
                 "zo: an objective is called as f(std::span<const double>) (or float, as x) and "
                 "returns a number; docs/objectives.md shows the other kinds");

}  // namespace zo
