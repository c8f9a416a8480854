// Independent random signs.
#pragma once

#include <cstdint>

#include "zo/config.hpp"
#include "zo/random.hpp"

namespace zo {

/// Independent signs, +1 or -1 with probability 1/2. E[u uᵀ] = I, so the scale c is 1. One random
/// bit a coordinate: the cheapest distribution, and the one of least variance.
struct rademacher {
  using law = rademacher;
  static constexpr bool unit_norm = false;
  static constexpr double scale(index_t) { return 1.0; }

  static constexpr int pieces = 4;  // one a word
  static constexpr int values = 32;
  static constexpr bool continuous = false;
  static constexpr double largest = 1;

  template <class Visit>
  ZO_HD static void each(const words4<std::uint32_t>& words, int piece, Visit&& visit) {
    // Shifts, not an array: a GPU keeps what is indexed at run time in memory.
    const std::uint64_t pair = piece < 2 ? std::uint64_t{words.w1} << 32 | words.w0
                                         : std::uint64_t{words.w3} << 32 | words.w2;
    const auto signs = static_cast<std::uint32_t>(pair >> (32 * (piece % 2)));
    for (int v = 0; v < values; ++v) {  // most significant bit first
      visit(v, signs >> (31 - v) & 1u ? -1.0f : 1.0f);
    }
  }
};

}  // namespace zo
