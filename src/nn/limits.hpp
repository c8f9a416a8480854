// Bounds that no machine reaches, so that sums and products of sizes stay numbers.
#pragma once

#include <cstdint>
#include <limits>

#include "zo/config.hpp"

namespace zo::nn::detail {

inline constexpr index_t most_values = index_t{1} << 15;
inline constexpr index_t most_pixels = std::numeric_limits<std::int32_t>::max();
inline constexpr index_t most_numbers = index_t{1} << 44;  // of one value, and of all parameters
inline constexpr index_t most_multiplications = index_t{1} << 60;

}  // namespace zo::nn::detail
