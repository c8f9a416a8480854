// Directions as building blocks: for steps of your own, without a stored direction or gradient.
#pragma once

#include <concepts>
#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include "zo/black_box.hpp"
#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/law.hpp"
#include "zo/objective.hpp"
#include "zo/random.hpp"

namespace zo {
namespace detail {

template <class P>
concept thread_policy =
    rule(std::same_as<P, sequential_policy> || std::same_as<P, parallel_policy>,
         "zo: this works on numbers of this process: zo::seq or zo::par (zo::cuda:: has its own)");

// Vectors of one scalar type, the second of which is written.
template <class X, class Y>
concept read_and_written = contiguous_vector<X> && contiguous_vector<Y> &&
    rule(std::same_as<scalar_of<X>, scalar_of<Y>>, "zo: both vectors must be float or double") &&
    rule(std::is_assignable_v<std::ranges::range_reference_t<Y>, scalar_of<Y>>,
         "zo: what is written must not be const");

template <class T>
bool apart(std::span<const T> a, std::span<const T> b) {
  const auto first = [](auto s) { return reinterpret_cast<std::uintptr_t>(s.data()); };
  const auto end = [](auto s) { return reinterpret_cast<std::uintptr_t>(s.data() + s.size()); };
  return end(a) <= first(b) || end(b) <= first(a);
}

}  // namespace detail

/// out = x + h u for direction `from` (out may be x itself): the bits of a candidate of the
/// estimators. x and out: d numbers each, float or double. Cost: no queries, no memory; a direction
/// of the sphere is generated once more, for its norm. The same bits for every policy. Throws
/// std::invalid_argument for other sizes and for an out that overlaps x.
template <detail::thread_policy Policy, distribution D, contiguous_vector X, class Y>
requires detail::read_and_written<X, Y>
void perturb(const Policy& policy, D, const stream& from, const X& x,
             std::type_identity_t<scalar_of<X>> h, Y&& out) {
  using T = scalar_of<X>;
  constexpr const char* who = "zo::perturb";
  const std::span<const T> in(std::ranges::data(x), std::ranges::size(x));
  const std::span<T> to(std::ranges::data(out), std::ranges::size(out));
  const auto dimension = static_cast<index_t>(in.size());
  detail::check_dimension(who, dimension);
  detail::require(in.size() == to.size(), who, ": out must have as many coordinates as x, got ",
                  to.size(), " and ", in.size());
  detail::check_memory(who, "x", in.data());
  detail::check_memory(who, "out", to.data());
  detail::require(in.data() == to.data() || detail::apart<T>(in, to), who,
                  ": out must be x itself or lie apart from it");
  const auto step = static_cast<T>(static_cast<double>(h) * detail::raw_factor<D>(from, dimension));
  detail::parallel_tiles(policy, 1, dimension, detail::worth_a_thread<typename D::law>(),
                         [&](index_t, index_t first, index_t count) {
                           detail::perturb<typename D::law>(from, first, count, in.data() + first,
                                                            step, to.data() + first);
                         });
}

/// x += sum over k of weights[k] u_k for the directions from.number + k, k ascending: a chain of
/// fused multiply-adds for each coordinate. x: d numbers, weights: one or more of its type. Reads
/// and writes x once whatever the number of directions. Cost: no queries, no memory; the sphere
/// takes a copy of the weights, which are divided by the norms, and generates each direction once
/// more. The same bits for every policy. Throws std::invalid_argument for no weights and for
/// weights that overlap x.
template <detail::thread_policy Policy, distribution D, contiguous_vector W, class X>
requires detail::read_and_written<W, X>
void accumulate(const Policy& policy, D, const stream& from, const W& weights, X&& x) {
  using T = scalar_of<W>;
  constexpr const char* who = "zo::accumulate";
  std::span<const T> all(std::ranges::data(weights), std::ranges::size(weights));
  const std::span<T> to(std::ranges::data(x), std::ranges::size(x));
  const auto dimension = static_cast<index_t>(to.size());
  detail::check_dimension(who, dimension);
  detail::require(!all.empty(), who, ": weights must hold at least 1 number");
  detail::check_memory(who, "weights", all.data());
  detail::check_memory(who, "x", to.data());
  detail::require(detail::apart<T>(all, to), who, ": weights must not overlap x");
  std::vector<T> scaled;
  if constexpr (D::unit_norm) {
    stream at = from;
    for (const T weight : all) {
      scaled.push_back(
          static_cast<T>(static_cast<double>(weight) * detail::raw_factor<D>(at, dimension)));
      ++at.number;
    }
    all = scaled;
  }
  const auto least = detail::worth_a_thread<typename D::law>() / static_cast<index_t>(all.size());
  detail::parallel_tiles(policy, 1, dimension, least, [&](index_t, index_t first, index_t count) {
    detail::accumulate<typename D::law>(from, static_cast<index_t>(all.size()), all.data(), first,
                                        count, to.data() + first);
  });
}

}  // namespace zo
