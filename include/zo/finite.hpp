// Numbers that mean the same in programs compiled with -ffast-math: whether one is finite, which
// the standard functions then take for granted, and sums and products in the order they are written
// in.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "zo/config.hpp"

namespace zo::detail {

template <scalar T>
using bits_of_scalar = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

// The bits of a value, as words of which a compiler knows nothing.
template <scalar T>
ZO_HD inline bits_of_scalar<T> opaque_bits(T value) {
  bits_of_scalar<T> bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
#if defined(__GNUC__) && !defined(__CUDA_ARCH__)
  asm("" : "+r"(bits));
#endif
  return bits;
}

template <scalar T>
inline constexpr bits_of_scalar<T> infinity_bits = static_cast<bits_of_scalar<T>>(
    sizeof(T) == 4 ? std::uint64_t{0x7F80'0000} : std::uint64_t{0x7FF0'0000'0000'0000});

template <scalar T>
ZO_HD inline bool is_finite(T value) {
  constexpr bits_of_scalar<T> infinity = infinity_bits<T>;
  return (opaque_bits(value) & infinity) != infinity;
}

template <scalar T>
ZO_HD inline bool is_nan(T value) {
  constexpr bits_of_scalar<T> infinity = infinity_bits<T>;
  constexpr auto magnitude = static_cast<bits_of_scalar<T>>(~bits_of_scalar<T>{0} >> 1);
  return (opaque_bits(value) & magnitude) > infinity;
}

// The value as it is rounded here: no flag takes a sum or product apart and puts it together in
// another order.
template <scalar T>
ZO_HD inline T rounded(T value) {
#if defined(__GNUC__) && !defined(__CUDA_ARCH__)
  asm("" : "+m"(value));
#endif
  return value;
}

}  // namespace zo::detail
