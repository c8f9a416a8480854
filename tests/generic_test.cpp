// Fused multiply-adds where the processor has none, against the standard library's.
#include "simd/generic.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using zo::detail::fused_in_double;

void expect_fused(float a, float b, float c) {
  const float expected = std::fma(a, b, c), got = fused_in_double(a, b, c);
  const bool same = std::isnan(expected) ? std::isnan(got)
                                         : std::bit_cast<std::uint32_t>(expected) ==
                                               std::bit_cast<std::uint32_t>(got);
  EXPECT_TRUE(same) << std::hexfloat << a << " * " << b << " + " << c << ": " << got << ", not "
                    << expected;
}

TEST(fused_in_double, is_the_standard_one_of_any_bits) {
  std::mt19937 random(1);
  const auto any = [&] { return std::bit_cast<float>(static_cast<std::uint32_t>(random())); };
  for (int i = 0; i < 1'000'000; ++i) {
    const float a = any(), b = any();
    expect_fused(a, b, any());
    expect_fused(a, b, -a * b);
  }
}

TEST(fused_in_double, is_the_standard_one_at_ties_and_ends) {
  using limits = std::numeric_limits<float>;
  std::vector<float> some = {
      0.0f,       1.0f,      1.5f,       3.0f,          0x1.000002p0f,      0x1.fffffep-1f,
      0x1p-24f,   0x1p-25f,  0x1.8p-24f, 0x1p-60f,      0x1p-75f,           0x1p-74f,
      0x1.8p-75f, 0x1p-126f, 0x1p-149f,  0x3p-149f,     0x1.fffffcp-127f,   0x1p-100f,
      0x1p104f,   0x1p24f,   0x1p127f,   limits::max(), limits::infinity(), limits::quiet_NaN()};
  for (std::size_t i = some.size(); i-- > 0;) some.push_back(-some[i]);
  for (const float a : some) {
    for (const float b : some) {
      for (const float c : some) expect_fused(a, b, c);
    }
  }
  // A hair below a tie of normal and of subnormal numbers, which rounding twice takes up.
  expect_fused(0x1.000002p0f, 0x1.fffffcp-25f, 0x1.000002p0f);
  expect_fused(0x1.000002p-75f, 0x1.fffffcp-76f, 0x1.000004p-127f);
}

}  // namespace
