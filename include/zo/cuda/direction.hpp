// Directions as building blocks on the device: for steps that zo::estimate does not make, such as
// those of parameters in bfloat16.
#pragma once

#include <concepts>

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
using working_type = typename detail::working_type_of<T>::type;

/// out = x + h u for direction `from` (out may be x): the bits of a candidate of the estimators.
/// For bfloat16 rounded once, at the end. Enqueued; reads x once, writes out once. Gaussian and
/// Rademacher; a direction of the sphere needs its norm first.
template <distribution D, storage T>
requires(!D::unit_norm) void perturb(const policy& on, D, const zo::stream& from,
                                     std::type_identity_t<span<const T>> x, working_type<T> h,
                                     span<T> out) {
  zo::detail::check_dimension("zo::cuda::perturb", x.size());
  zo::detail::require(x.size() == out.size(),
                      "zo::cuda::perturb: out must have as many coordinates "
                      "as x, got ",
                      out.size(), " and ", x.size());
  detail::perturb<T>(on, D::law, from, x.size(), x.data(), h, out.data());
}

/// x += sum over k of weights[k] u_k for the directions from.number + k; the weights are device
/// memory. The sum is formed in the working type and rounded once. Enqueued; reads and writes x
/// once whatever the number of directions.
template <distribution D, storage T>
requires(!D::unit_norm) void accumulate(const policy& on, D, const zo::stream& from,
                                        std::type_identity_t<span<const working_type<T>>> weights,
                                        span<T> x) {
  zo::detail::check_dimension("zo::cuda::accumulate", x.size());
  detail::accumulate<T>(on, D::law, from, weights.size(), weights.data(), x.size(), x.data());
}

}  // namespace zo::cuda
