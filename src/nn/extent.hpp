// How much of a value changes. By itself, for code of a GPU too.
#pragma once

#include <cstdint>

namespace zo::nn::detail {

/// Nothing, one channel, or all of it.
enum class extent : std::uint8_t { none, channel, full };

}  // namespace zo::nn::detail
