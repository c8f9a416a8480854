// Several numbers by one load or store of a lane.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "zo/bfloat16.hpp"

namespace zo::cuda::detail {

template <int N>
struct alignas(4 * N > 16 ? 16 : 4 * N) [[gnu::may_alias]] words {
  std::uint32_t word[N];
};

/// `from` is aligned by as many bytes, or by 16.
template <int Bytes, class T>
__device__ words<Bytes / 4> load_bytes(const T* from) {
  return *reinterpret_cast<const words<Bytes / 4>*>(from);
}
template <int N, class T>
__device__ void store_bytes(const words<N>& all, T* to) {
  *reinterpret_cast<words<N>*>(to) = all;
}

/// Two numbers in bfloat16, the first in the low half.
__device__ inline std::uint32_t pair_of(float first, float second) {
  return std::uint32_t{bfloat16(first).bits} | std::uint32_t{bfloat16(second).bits} << 16;
}

}  // namespace zo::cuda::detail
