// Whole numbers by random rounding: the mean that is promised, and runs that find them.
#include "zo/integers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support.hpp"

namespace {

using namespace testing_zo;

// Knows whole numbers only, in coordinate 0.
double ladder(std::span<const double> x) {
  EXPECT_EQ(x[0], std::round(x[0]));
  return x[0] * x[0] + 3 * x[1];
}

// Between 2 and 3 the mean is 4 + 5 (x - 2). A central difference of step 0.25 at 2.3 crosses a
// threshold in half of the samples, and is 10 then: of variance 25.
TEST(integers, have_the_slope_of_the_straight_line_between_whole_points) {
  const zo::integers f(ladder, {0});
  const std::vector<double> x{2.3, 1};
  std::vector<double> g(2);
  constexpr int samples = 20000;
  double sum = 0;
  for (int k = 0; k < samples; ++k) {
    const auto r = zo::estimate(zo::seq, f, x, g, zo::cge({.smoothing = 0.25}, zo::central{}),
                                {.sample = static_cast<zo::sample_id>(k)});
    EXPECT_EQ(r.queries, 4);
    EXPECT_NEAR(g[1], 3, 1e-12);  // all of an estimate round alike: no noise from coordinate 0
    sum += g[0];
  }
  EXPECT_LT(std::abs(sum / samples - 5) / std::sqrt(25.0 / samples), 4);
}

TEST(integers, of_a_run_are_found) {
  const auto f = [](std::span<const double> x) {
    return (x[0] - 7) * (x[0] - 7) + (x[1] - 0.5) * (x[1] - 0.5) + std::abs(x[2] + 4);
  };
  const zo::integers rounded(f, {0, 2});
  const zo::box bounds({0, -1, -10}, {20, 1, 10});
  std::vector<double> x{2, -1, 10};
  zo::minimize(zo::seq, rounded, x, zo::inside(bounds, zo::cge({.smoothing = 0.5}, zo::central{})),
               zo::projected(zo::sgd({.rate = 0.1}), bounds), {.max_queries = 6000, .seed = 4});
  const auto found = rounded.nearest(x);
  EXPECT_EQ(found[0], 7);
  EXPECT_NEAR(found[1], 0.5, 1e-3);
  EXPECT_EQ(found[2], -4);
}

TEST(integers, between_whole_bounds_stay_between_them) {
  const auto f = [](std::span<const float> x) {
    EXPECT_TRUE(x[0] == 1 || x[0] == 2) << x[0];
    return static_cast<double>(x[0]);
  };
  const zo::integers rounded(f, {0});
  for (const float x : {1.0F, 1.5F, std::nextafter(2.0F, 1.0F), 2.0F}) {
    const std::vector<float> at{x};
    for (zo::sample_id sample = 0; sample < 100; ++sample) rounded(at, sample << 50);
  }
}

TEST(integers, refuse_coordinates_that_are_none) {
  EXPECT_TRUE(contains(complaint([] { zo::integers(ladder, {-1}); }), "got -1"));
  const zo::integers f(ladder, {5});
  const std::vector<double> x{1, 2};
  EXPECT_TRUE(contains(complaint([&] { f(x, 0); }), "x has no coordinate 5, only 2"));
}

}  // namespace
