// Directions as building blocks on the device: for steps that zo::estimate does not make, such as
// those of parameters in bfloat16.
#pragma once

#include <concepts>
#include <type_traits>

#include "zo/bfloat16.hpp"
#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/direction.hpp"
#include "zo/random.hpp"

namespace zo::cuda {

/// What parameters may be stored as on the device: float, double, or bfloat16 with float
/// arithmetic.
template <class T>
concept storage = scalar<T> || std::same_as<T, bfloat16>;

/// The type in which sums over stored parameters are formed.
template <storage T>
using working_type = detail::working<T>;

namespace detail {

template <class X>
using stored_in = typename std::remove_cvref_t<X>::value_type;

template <class X>
concept stored_vector = requires(X& x) {
  span<const stored_in<X>>(x);
}
&&storage<stored_in<X>>;

}  // namespace detail

/// out = x + h u for direction `from` (out may be x itself): the bits of a candidate of the
/// estimators. For bfloat16 rounded once, at the end. Enqueued; reads x once, writes out once.
/// Of distributions without unit_norm; a direction of the sphere needs its norm first. x and out:
/// device memory of float, double or bfloat16.
template <distribution D, detail::stored_vector X, detail::stored_vector Y>
requires(!D::unit_norm && std::same_as<detail::stored_in<X>, detail::stored_in<Y>>) void perturb(
    const policy& on, D, const zo::stream& from, const X& x, working_type<detail::stored_in<X>> h,
    Y&& out) {
  using T = detail::stored_in<X>;
  constexpr const char* who = "zo::cuda::perturb";
  const span<const T> in(x);
  const span<T> to(out);
  zo::detail::check_dimension(who, in.size());
  zo::detail::require(in.size() == to.size(), who, ": out must have as many coordinates as x, got ",
                      to.size(), " and ", in.size());
  zo::detail::require(in.data() == to.data() || detail::apart(in, to), who,
                      ": out must be x itself or lie apart from it");
  detail::check_device(on, who);
  detail::check_device_pointer(on, who, "x", in.data());
  detail::check_device_pointer(on, who, "out", to.data());
  detail::enqueue<typename D::law>(on,
                                   detail::perturbed<T>{from, h, in.size(), in.data(), to.data()});
}

/// x += sum over k of weights[k] u_k for the directions from.number + k; weights and x are device
/// memory, weights in the working type of x. The sum is formed in that type and rounded once.
/// Enqueued; reads and writes x once whatever the number of directions.
template <distribution D, device_vector W, detail::stored_vector X>
requires(!D::unit_norm &&
         std::same_as<device_scalar_of<W>,
                      working_type<detail::stored_in<X>>>) void accumulate(const policy& on, D,
                                                                           const zo::stream& from,
                                                                           const W& weights,
                                                                           X&& x) {
  using T = detail::stored_in<X>;
  constexpr const char* who = "zo::cuda::accumulate";
  const span<const working_type<T>> all(weights);
  const span<T> to(x);
  zo::detail::check_dimension(who, to.size());
  zo::detail::require(all.size() >= 1, who, ": weights must hold at least 1 number");
  detail::check_device(on, who);
  detail::check_device_pointer(on, who, "weights", all.data());
  detail::check_device_pointer(on, who, "x", to.data());
  detail::enqueue<typename D::law>(
      on, detail::accumulated<T>{from, all.size(), all.data(), to.size(), to.data()});
}

}  // namespace zo::cuda
