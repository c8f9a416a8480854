// What laws are written in: operations that every machine rounds alike, each for one lane. Each
// SIMD pack of the compiled kernels has the same set, found by argument-dependent lookup.
#pragma once

#include <cstdint>
#include <cstring>

#include "zo/config.hpp"

namespace zo::detail {

ZO_HD inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
ZO_HD inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
ZO_HD inline float root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);  // exactly rounded also under a program's own -use_fast_math
#else
  return __builtin_sqrtf(a);
#endif
}
ZO_HD inline float float_from_signed(std::uint32_t a) {
  return static_cast<float>(static_cast<std::int32_t>(a));
}
ZO_HD inline std::uint32_t bits_of(float a) {
  std::uint32_t bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}
ZO_HD inline float float_of_bits(std::uint32_t a) {
  float value;
  std::memcpy(&value, &a, sizeof value);
  return value;
}
ZO_HD inline std::uint32_t shift_right_signed(std::uint32_t a, int count) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(a) >> count);
}

}  // namespace zo::detail
