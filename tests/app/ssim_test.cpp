#include "common/ssim.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace {

using image = std::vector<float>;

// Numbers in [0, 1] that look random.
image noise(std::int64_t size, std::uint32_t state) {
  image made;
  for (std::int64_t i = 0; i < size; ++i) {
    state = state * 1664525U + 1013904223U;
    made.push_back(static_cast<float>(state >> 8) / 16777216.0F);
  }
  return made;
}

// The formulas of the paper, one window at a time, with variances about the mean.
double naive(const image& a, const image& b, std::int64_t rows, std::int64_t columns) {
  double total = 0;
  std::int64_t windows = 0;
  for (std::int64_t top = 0; top + 11 <= rows; ++top) {
    for (std::int64_t left = 0; left + 11 <= columns; ++left) {
      const auto sum = [&](const auto& term) {
        double result = 0;
        for (std::int64_t y = 0; y < 11; ++y) {
          for (std::int64_t x = 0; x < 11; ++x) {
            const double far = static_cast<double>((x - 5) * (x - 5) + (y - 5) * (y - 5));
            const auto at = static_cast<std::size_t>((top + y) * columns + left + x);
            result += std::exp(-far / (2 * 1.5 * 1.5)) * term(double{a[at]}, double{b[at]});
          }
        }
        return result;
      };
      const double weight = sum([](double, double) { return 1.0; });
      const double ma = sum([](double p, double) { return p; }) / weight;
      const double mb = sum([](double, double q) { return q; }) / weight;
      const double va = sum([&](double p, double) { return (p - ma) * (p - ma); }) / weight;
      const double vb = sum([&](double, double q) { return (q - mb) * (q - mb); }) / weight;
      const double both = sum([&](double p, double q) { return (p - ma) * (q - mb); }) / weight;
      total += (2 * ma * mb + 1e-4) * (2 * both + 9e-4) /
               ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
      ++windows;
    }
  }
  return total / static_cast<double>(windows);
}

TEST(Ssim, IsOneForTheSameImage) {
  const image a = noise(28 * 28, 1);
  EXPECT_NEAR(app::ssim(a, a, 28, 28), 1, 1e-12);
}

TEST(Ssim, ComparesTheBrightnessOfFlatImages) {
  // Without variance only the first factor is left: (2 · 0.5 · 0.25 + c1) / (0.25 + 0.0625 + c1).
  const image half(12 * 15, 0.5F);
  const image quarter(12 * 15, 0.25F);
  EXPECT_NEAR(app::ssim(half, quarter, 12, 15), 0.2501 / 0.3126, 1e-9);
}

TEST(Ssim, IsNegativeForOppositeImages) {
  image a = noise(28 * 28, 2);
  image b;
  for (const float value : a) b.push_back(1 - value);
  EXPECT_LT(app::ssim(a, b, 28, 28), -0.9);
}

TEST(Ssim, FollowsTheFormulaWindowByWindow) {
  const image a = noise(14 * 17, 3);
  const image b = noise(14 * 17, 4);
  EXPECT_NEAR(app::ssim(a, b, 14, 17), naive(a, b, 14, 17), 1e-12);
  EXPECT_NEAR(app::ssim(b, a, 14, 17), naive(a, b, 14, 17), 1e-12);
  EXPECT_LT(std::abs(naive(a, b, 14, 17)), 0.3);
}

TEST(Ssim, RefusesOtherSizes) {
  const image a(12 * 12);
  EXPECT_THROW(app::ssim(a, image(12 * 11), 12, 12), std::invalid_argument);
  EXPECT_THROW(app::ssim(a, a, 10, 12), std::invalid_argument);
}

}  // namespace
