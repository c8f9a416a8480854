// Frank and Wolfe's steps: against the textbook's oracle, its rate, and projected runs.
#include "zo/frank_wolfe.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <sstream>
#include <vector>

#include "support.hpp"
#include "zo/ask.hpp"
#include "zo/cge.hpp"
#include "zo/minimize.hpp"
#include "zo/rge.hpp"

namespace {

using namespace testing_zo;

template <class Set>
std::vector<double> corner_of(const Set& set, std::vector<double> x,
                              const std::vector<double>& gradient) {
  lean(set, std::span<double>(x), std::span<const double>(gradient), 1);
  return x;
}

TEST(frank_wolfe, leans_to_the_point_where_the_plane_is_lowest) {
  const std::vector<double> x{0.5, 0.25, 0.25};
  EXPECT_EQ(corner_of(zo::simplex(2), x, {3, -1, 0}), (std::vector<double>{0, 2, 0}));
  EXPECT_EQ(corner_of(zo::l1_ball(2), x, {3, -1, 0}), (std::vector<double>{-2, 0, 0}));
  EXPECT_EQ(corner_of(zo::l1_ball(2), x, {0, 0, 0}), x);
  EXPECT_EQ(corner_of(zo::box({-1, -2, -3}, {1, 2, 3}), x, {3, -1, 0}),
            (std::vector<double>{-1, 2, 0.25}));
  const auto far = corner_of(zo::ball(5), x, {3e300, 0, -4e300});
  EXPECT_NEAR(far[0], -3, 1e-14);
  EXPECT_NEAR(far[2], 4, 1e-14);
  EXPECT_EQ(corner_of(zo::ball(5), x, {0, 0, 0}), x);
}

// |x - target|^2 / 2, whose minimum in the set is a projection. L = 1, so that
// f - f* <= 2 diameter^2 / (t + 2).
TEST(frank_wolfe, is_as_near_after_t_steps_as_its_theorem_says) {
  const std::vector<double> target{0.9, 0.4, -0.3, 0.1};
  const auto f = [&](std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += (x[i] - target[i]) * (x[i] - target[i]) / 2;
    return sum;
  };
  const auto check = [&](const auto& set, double diameter) {
    std::vector<double> best = target, x{0.25, 0.25, 0.25, 0.25};
    set.project(zo::seq, std::span(best));
    zo::minimize(zo::seq, f, x, zo::cge({.smoothing = 1e-6}, zo::central{}),
                 zo::frank_wolfe(set, 4), {.max_queries = 8 * 200 + 1});
    EXPECT_LE(f(x), f(best) + 2 * diameter * diameter / 202 + 1e-9);
    EXPECT_GE(f(x), f(best) - 1e-9);
    auto inside = x;
    set.project(zo::seq, std::span(inside));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(inside[i], x[i], 1e-12);
  };
  check(zo::simplex(), std::sqrt(2.0));
  check(zo::l1_ball(1), 2);
  check(zo::ball(0.5), 1);
  check(zo::box(0, 0.5), 1);
}

TEST(frank_wolfe, averages_of_random_estimates_come_near_too) {
  const auto f = [](std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      const double away = x[i] - (i < 2 ? 0.5 : 0);
      sum += away * away;
    }
    return sum;
  };
  std::vector<double> x(20, 0.05);
  zo::minimize(zo::seq, f, x, zo::rge({.directions = 4, .smoothing = 1e-5}, zo::rademacher{}),
               zo::frank_wolfe(zo::simplex(), 20, {.average = true}),
               {.max_queries = 5 * 2000, .seed = 1});
  EXPECT_LT(f(x), 0.02);  // 0.45 at the start
  EXPECT_NEAR(std::accumulate(x.begin(), x.end(), 0.0), 1, 1e-12);
}

TEST(frank_wolfe, is_saved_and_goes_on_with_the_same_bits) {
  const auto f = [](std::span<const double> x) { return (x[0] - 1) * (x[0] - 1) + x[1] * x[2]; };
  const auto run = [&](zo::ask<double>& asked, int answers) {
    for (int k = 0; k < answers && !asked.over(); ++k) {
      const auto q = asked.ask(1);
      asked.tell(q[0].id, f(q[0].point));
    }
  };
  const std::vector<double> x{0.25, 0.25, 0.5};
  const auto make = [&] {
    return std::make_unique<zo::ask<double>>(x, zo::cge(),
                                             zo::frank_wolfe(zo::simplex(), 3, {.average = true}),
                                             zo::minimize_options{.max_queries = 100, .seed = 2});
  };
  auto whole = make(), first = make(), second = make();
  run(*whole, 1000);
  run(*first, 33);
  std::stringstream saved;
  first->save(saved);
  second->load(saved);
  run(*second, 1000);
  EXPECT_EQ(second->result().value, whole->result().value);
  EXPECT_EQ(second->result().queries, whole->result().queries);
}

TEST(frank_wolfe, refuses_what_has_no_lowest_point) {
  std::vector<double> x{0, 0};
  const std::vector<double> g{1, -1}, bad{not_a_number, 0};
  zo::frank_wolfe open(zo::box({-infinity, 0}, {1, 1}), 2);
  EXPECT_TRUE(
      contains(complaint([&] { open.step(zo::seq, std::span(x), std::span<const double>(g)); }),
               "coordinate 0 has a bound that is infinite"));
  zo::frank_wolfe closed(zo::ball(1), 2);
  EXPECT_FALSE(closed.step(zo::seq, std::span(x), std::span<const double>(bad)));
  EXPECT_EQ(x, (std::vector<double>{0, 0}));
  EXPECT_TRUE(contains(
      complaint([&] { closed.step(zo::seq, std::span(x), std::span<const double>(g).subspan(1)); }),
      "must have 2 coordinates"));
  EXPECT_TRUE(contains(complaint([] {
                         zo::frank_wolfe(zo::box({0, 0}, {1, 1}), 3);
                       }),
                       "bounds for each of the 3"));
}

}  // namespace
