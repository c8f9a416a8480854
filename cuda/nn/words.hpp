// Several numbers by one load or store of a lane.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/nn/change.hpp"
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

/// Neighbouring numbers of one lane: one, or four.
template <class T, int N>
struct several {
  T value[N];
};

/// `from` is aligned by as many numbers.
template <int N, class T>
__device__ several<T, N> load_several(const T* from) {
  several<T, N> found;
  if constexpr (N == 1) {
    found.value[0] = *from;
  } else {
    const auto bytes = load_bytes<sizeof(found)>(from);
    std::memcpy(&found, &bytes, sizeof found);
  }
  return found;
}

/// Two numbers in bfloat16, the first in the low half.
__device__ inline std::uint32_t pair_of(float first, float second) {
  return std::uint32_t{bfloat16(first).bits} | std::uint32_t{bfloat16(second).bits} << 16;
}

/// Four numbers in bfloat16, as numbers in float.
__device__ inline several<float, 4> widened(const words<2>& halves) {
  several<float, 4> found;
  for (int n = 0; n < 4; ++n) {
    const std::uint32_t word = halves.word[n / 2];
    const std::uint32_t bits = n % 2 == 0 ? word << 16 : word & 0xffff0000U;
    std::memcpy(&found.value[n], &bits, sizeof bits);
  }
  return found;
}

/// Differences from number i on; none: zeros.
template <int N, class T>
__device__ several<T, N> load_several(const change<T>& d, index_t i) {
  if (d.how == extent::none) return {};
  if constexpr (N == 1) {
    return {d.number(i)};
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (d.rounded != nullptr) return widened(load_bytes<N * sizeof(bfloat16)>(d.rounded + i));
    }
    return load_several<N>(d.exact + i);
  }
}

/// out[at], out[at + 1], …; `at` is a multiple of N.
template <int N, class T>
__device__ void put_several(const sink<T>& out, index_t at, const several<T, N>& all) {
  if constexpr (N == 1) {
    out.put(at, all.value[0]);
    return;
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (out.rounded != nullptr) {
        store_bytes(
            words<2>{{pair_of(all.value[0], all.value[1]), pair_of(all.value[2], all.value[3])}},
            out.rounded + at);
        return;
      }
    }
    words<sizeof(all) / 4> bytes;
    std::memcpy(&bytes, &all, sizeof all);
    store_bytes(bytes, out.exact + at);
  }
}

}  // namespace zo::cuda::detail
