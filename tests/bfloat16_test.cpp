// Storage in 16 bits: every value comes back, every float goes to its nearest.
#include "zo/bfloat16.hpp"

#include "support.hpp"

namespace {

using zo::bfloat16;

float widened_bits(std::uint32_t upper) {
  const std::uint32_t word = upper << 16;
  float value = 0;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

TEST(bfloat16, every_value_comes_back) {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = widened_bits(bits);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(value)))) << bits;
    } else {
      EXPECT_EQ(bfloat16(value).bits, bits);
    }
  }
}

TEST(bfloat16, floats_go_to_the_nearest_and_ties_to_even) {
  for (std::uint32_t bits = 0; bits < 0x7f7fu; ++bits) {
    const float low = widened_bits(bits), high = widened_bits(bits + 1);
    const float half = low + (high - low) / 2;
    EXPECT_EQ(bfloat16(half).bits, bits % 2 == 0 ? bits : bits + 1) << bits;
    EXPECT_EQ(bfloat16(std::nextafter(half, 0.0F)).bits, bits) << bits;
    EXPECT_EQ(bfloat16(std::nextafter(half, high)).bits, bits + 1) << bits;
    EXPECT_EQ(bfloat16(-half).bits, bfloat16(half).bits | 0x8000u) << bits;
  }
}

TEST(bfloat16, what_is_too_large_is_infinite) {
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80u);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::infinity()).bits, 0x7f80u);
}

}  // namespace
