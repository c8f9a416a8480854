// bfloat16 as storage: the upper half of a float. Arithmetic is done in float.
#pragma once

#include <cstdint>
#include <cstring>

#include "zo/config.hpp"

namespace zo {

/// Parameters of 16 bits, laid out as __nv_bfloat16, at::BFloat16 and numpy's bfloat16 are. Rounds
/// to the nearest, ties to even.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  ZO_HD explicit bfloat16(float value) {
    std::uint32_t word = 0;
    std::memcpy(&word, &value, sizeof word);
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    const std::uint32_t rounded = (word + 0x7fffu + (word >> 16 & 1u)) >> 16;
    bits = static_cast<std::uint16_t>(is_nan ? 0x7fc0u : rounded);
  }
  ZO_HD explicit operator float() const {
    const std::uint32_t word = std::uint32_t{bits} << 16;
    float value = 0;
    std::memcpy(&value, &word, sizeof value);
    return value;
  }
};

}  // namespace zo
