// What rounding leaves of steps and slopes, against arithmetic in __float128.
#include "zo/rounding.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using zo::detail::beyond_range;
using zo::detail::check_of;
using zo::detail::quotient;
using zo::detail::step_faults;
using zo::detail::step_is_lost;

constexpr double largest = std::numeric_limits<double>::max();

template <class T, class D>
unsigned faults(D law, double smoothing, T x, index_t dimension = 1000) {
  return step_faults(check_of<T>(law, smoothing, dimension), 1, &x);
}

TEST(rounding, slopes_are_right_wherever_they_are_numbers) {
  const std::vector<double> values{0,        1,      -3.5,    1e300,    -1e300,     1.7e308,
                                   -1.7e308, 1e-300, largest, -largest, largest / 3};
  for (const double upper : values) {
    for (const double lower : values) {
      for (const auto& [upper_x, lower_x] :
           {std::pair{1e-3, 0.0}, {2.0, -2.0}, {1e308, -1e308}, {largest, -largest}, {-1.0, 1e9}}) {
        const auto right =
            static_cast<double>((__float128(upper) - lower) / (__float128(upper_x) - lower_x));
        const double got = quotient(upper, lower, upper_x, lower_x);
        if (!std::isfinite(right)) {
          EXPECT_FALSE(std::isfinite(got)) << upper << ' ' << lower;
        } else {
          EXPECT_NEAR(got, right, 1e-15 * std::abs(right)) << upper << ' ' << lower;
        }
      }
    }
  }
  for (const double bad : {infinity, -infinity, not_a_number}) {
    EXPECT_TRUE(std::isnan(quotient(1, 0, bad, 0)));
    EXPECT_TRUE(std::isnan(quotient(1, 0, 0, bad)));
  }
}

TEST(rounding, the_largest_magnitude_knows_every_number) {
  std::vector<float> x(1000, -1.5f);
  EXPECT_EQ(zo::detail::largest_magnitude<float>(1000, x.data()), 1.5f);
  for (const std::size_t at : {std::size_t{0}, std::size_t{17}, std::size_t{999}}) {
    for (const float one : {-3e38f, 2.0f}) {
      auto y = x;
      y[at] = one;
      EXPECT_EQ(zo::detail::largest_magnitude<float>(1000, y.data()), std::abs(one));
      EXPECT_TRUE(zo::detail::all_finite<float>(1000, y.data()));
    }
    for (const double one : {infinity, -infinity, not_a_number, -not_a_number}) {
      std::vector<double> y(1000, -1.0);
      y[at] = one;
      EXPECT_FALSE(zo::detail::all_finite<double>(1000, y.data()));
    }
  }
}

TEST(rounding, a_step_that_does_not_move_x_is_lost) {
  const auto check_law = [](auto law) {
    EXPECT_EQ(faults<float>(law, 1e-3, 1e8f), step_is_lost);
    EXPECT_EQ(faults<double>(law, 1e-3, 1e16), step_is_lost);
    EXPECT_EQ(faults<float>(law, 1e-3, -0.5f), 0u);
    EXPECT_EQ(faults<double>(law, 1e-3, 1e8), 0u);
    EXPECT_EQ(faults<double>(law, 1e-9, -1000), 0u);
    EXPECT_EQ(faults<float>(law, 1e-50, 1.0f), step_is_lost);
    for (const double bad : {infinity, -infinity, not_a_number}) {
      EXPECT_NE(faults<double>(law, 1e-3, bad) & beyond_range, 0u);
    }
    EXPECT_NE(faults<float>(law, 1e37, 3.4e38f) & beyond_range, 0u);
  };
  check_law(zo::gaussian{});
  check_law(zo::rademacher{});
  check_law(zo::sphere{});
  // Signs step exactly from 1e8 by 8, and by 16.
  EXPECT_EQ(faults<float>(zo::rademacher{}, 16, 1e8f), 0u);
  EXPECT_EQ(faults<float>(zo::rademacher{}, 12, 1e8f), step_is_lost);  // 16 or 8
  EXPECT_EQ(faults<float>(zo::gaussian{}, 12, 1e8f), 0u);
  EXPECT_EQ(faults<float>(zo::sphere{}, 16, 1e8f, 1000000), step_is_lost);  // by 0.016
}

// Each set of instructions looks at several numbers at once.
TEST(rounding, one_coordinate_of_many_is_seen) {
  const index_t d = 5000;
  const auto check = check_of<float>(zo::gaussian{}, 1e-3, d);
  for (const std::size_t at : {std::size_t{0}, std::size_t{2047}, std::size_t{4999}}) {
    auto x = ramp<float>(d);
    EXPECT_EQ(step_faults(check, d, x.data()), 0u);
    x[at] = 1e6f;
    EXPECT_EQ(step_faults(check, d, x.data()), step_is_lost);
    x[at] = static_cast<float>(not_a_number);
    EXPECT_NE(step_faults(check, d, x.data()) & beyond_range, 0u);
  }
}

}  // namespace
