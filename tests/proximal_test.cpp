// Ends of steps against their definitions: the nearest point of a set, the smallest of a sum.
#include "zo/proximal.hpp"

#include <algorithm>
#include <numeric>

#include "support.hpp"

namespace {

using namespace testing_zo;

template <class T, class Set>
std::vector<T> projection_of(std::vector<T> x, const Set& set, int threads = 1) {
  set.project(zo::par.with_threads(threads), std::span<T>(x));
  return x;
}

// One step of length 1 from 0, which arrives at minus the gradient.
template <class Rule, class T = double>
std::vector<T> step_to(const std::vector<T>& target, const Rule& rule) {
  std::vector<T> x(target.size()), g;
  for (const T value : target) g.push_back(-value);
  auto updater = rule.template start<T>(static_cast<index_t>(x.size()));
  EXPECT_TRUE(updater.step(zo::seq, std::span<T>(x), std::span<const T>(g)));
  return x;
}

// The textbook's way, by sorting: Duchi et al., ICML 2008.
std::vector<double> sorted_simplex(const std::vector<double>& x, double radius) {
  std::vector<double> down = x;
  std::ranges::sort(down, std::greater<>());
  double sum = 0, threshold = 0;
  for (std::size_t k = 0; k < down.size(); ++k) {
    sum += down[k];
    const double next = (sum - radius) / static_cast<double>(k + 1);
    if (down[k] > next) threshold = next;
  }
  std::vector<double> y;
  for (const double value : x) y.push_back(std::max(value - threshold, 0.0));
  return y;
}

TEST(box, keeps_each_number_between_its_bounds) {
  const zo::sgd sgd({.rate = 1});
  EXPECT_EQ(step_to<>(std::vector<double>{-3, 0.5, 7}, zo::projected(sgd, zo::box(-1, 2))),
            (std::vector<double>{-1, 0.5, 2}));
  EXPECT_EQ(step_to<>(std::vector<double>{-3, 0.5, 7},
                      zo::projected(sgd, zo::box({-9, 1, -infinity}, {9, 2, 6}))),
            (std::vector<double>{-3, 1, 6}));
}

TEST(l1, moves_towards_zero_by_weight_times_the_rate_of_the_step) {
  const auto rule =
      zo::proximal(zo::sgd({.rate = zo::step_decay({.start = 1, .factor = 0.5})}), zo::l1(2));
  auto updater = rule.start<double>(4);
  std::vector<double> x{5, -5, 1.5, 0};
  const std::vector<double> none(4);
  updater.step(zo::seq, std::span(x), std::span(none));
  EXPECT_EQ(x, (std::vector<double>{3, -3, 0, 0}));
  updater.step(zo::seq, std::span(x), std::span(none));
  EXPECT_EQ(x, (std::vector<double>{2, -2, 0, 0}));
  EXPECT_FALSE(std::signbit(x[2]));
}

TEST(l1, of_a_whole_run_is_the_soft_threshold) {
  const std::vector<double> target{3, -0.4, 0.2, -2};
  auto f = [&](std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += 0.5 * (x[i] - target[i]) * (x[i] - target[i]);
    return sum;
  };
  std::vector<double> x(4, 1.0);
  zo::minimize(zo::seq, f, x, zo::cge({.smoothing = 1e-3}, zo::central{}),
               zo::proximal(zo::sgd({.rate = 0.5}), zo::l1(0.5)), {.max_queries = 1000});
  const std::vector<double> expected{2.5, 0, 0, -1.5};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(x[i], expected[i], 1e-9);
  EXPECT_EQ(x[1], 0);
  EXPECT_EQ(x[2], 0);
}

TEST(ball, is_the_nearest_point_of_at_most_its_radius) {
  const zo::ball unit(1);
  EXPECT_EQ(projection_of<double>({0.3, -0.4}, unit), (std::vector<double>{0.3, -0.4}));
  const auto far = projection_of<double>({3, -4}, unit);
  EXPECT_NEAR(far[0], 0.6, 1e-15);
  EXPECT_NEAR(far[1], -0.8, 1e-15);
  const auto huge = projection_of<double>({3e300, -4e300}, unit);
  EXPECT_NEAR(huge[0], 0.6, 1e-15);
  EXPECT_NEAR(projection_of<double>({3e-300, -4e-300}, zo::ball(1e-300))[1], -0.8e-300, 1e-315);
  EXPECT_EQ(projection_of<double>({0, 0}, unit), (std::vector<double>{0, 0}));
}

TEST(simplex, is_the_nearest_point_of_the_simplex) {
  for (const double radius : {0.01, 1.0, 40.0}) {
    for (const index_t d : {1, 2, 7, 500}) {
      std::vector<double> x;
      for (index_t i = 0; i < d; ++i) x.push_back(std::sin(static_cast<double>(i * i)) * 3);
      const auto expected = sorted_simplex(x, radius);
      const auto found = projection_of(x, zo::simplex(radius));
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-13);
      EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0), radius, 1e-12 * radius);
    }
  }
  // Large numbers, of which only differences count.
  EXPECT_EQ(projection_of<double>({1e15 + 0.5, 1e15, -1e300}, zo::simplex()),
            (std::vector<double>{0.75, 0.25, 0}));
}

TEST(l1_ball, is_the_nearest_point_whose_magnitudes_add_up_to_its_radius) {
  EXPECT_EQ(projection_of<double>({0.3, -0.4}, zo::l1_ball(1)), (std::vector<double>{0.3, -0.4}));
  for (const index_t d : {1, 2, 7, 500}) {
    std::vector<double> x, magnitudes;
    for (index_t i = 0; i < d; ++i) {
      x.push_back(std::sin(static_cast<double>(i * i + 1)) * 3);
      magnitudes.push_back(std::abs(x.back()));
    }
    const auto expected = sorted_simplex(magnitudes, 0.5);
    const auto found = projection_of(x, zo::l1_ball(0.5));
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(found[i], std::copysign(expected[i], x[i]), 1e-13);
    }
  }
}

TEST(sparse, keeps_the_largest_numbers_and_the_first_of_equal_ones) {
  EXPECT_EQ(projection_of<double>({1, -3, 2, -2, 2}, zo::sparse(3)),
            (std::vector<double>{0, -3, 2, -2, 0}));
  EXPECT_EQ(projection_of<double>({1, -3, 2}, zo::sparse(5)), (std::vector<double>{1, -3, 2}));
  EXPECT_EQ(projection_of<double>({0, 0, 1}, zo::sparse(2)), (std::vector<double>{0, 0, 1}));
}

// The definition: rate weight |y| + |y - x|^2 / 2 is least, and zero where x is shorter than that.
TEST(group_l2, shortens_whole_groups) {
  const auto rule = zo::proximal(zo::sgd({.rate = 1}), zo::group_l2(2.5, 2));
  const auto y = step_to<>(std::vector<double>{3, -4, 1, 2, 0, 0}, rule);
  const std::vector<double> expected{1.5, -2, 0, 0, 0, 0};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(y[i], expected[i], 1e-15);
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], 0);
  EXPECT_TRUE(contains(complaint([&] { rule.start<double>(5); }), "no whole groups of 2"));
  EXPECT_EQ(
      step_to<>(std::vector<double>{3, -4}, zo::proximal(zo::sgd({.rate = 1}), zo::group_l2(0, 2))),
      (std::vector<double>{3, -4}));
}

TEST(projections, have_the_same_bits_for_every_number_of_threads) {
  for (const index_t d : {index_t{16384}, index_t{16385}, index_t{50000}}) {
    const auto check = [&]<class T>(T, const auto& set) {
      const auto x = ramp<T>(d, -2, 0.77);
      const auto one = projection_of(x, set);
      EXPECT_FALSE(same_bits(one, x));
      for (const int threads : {2, 3}) EXPECT_TRUE(same_bits(projection_of(x, set, threads), one));
    };
    check(0.0f, zo::ball(1));
    check(0.0, zo::ball(1));
    check(0.0f, zo::simplex(3));
    check(0.0, zo::simplex(3));
    check(0.0f, zo::box(0, 1));
    check(0.0, zo::l1_ball(3));
    check(0.0f, zo::sparse(30));
  }
}

TEST(projections, leave_no_doubt_about_numbers_that_are_none) {
  const auto step = [](const auto& set, float slope) {
    std::vector<float> x{1, 2};
    const std::vector<float> g{slope, 0};
    auto updater = zo::projected(zo::sgd({.rate = 1e10}), set).template start<float>(2);
    return updater.step(zo::seq, std::span(x), std::span(g));
  };
  const auto check = [&](const auto& set) {
    EXPECT_FALSE(step(set, 3e38f));
    EXPECT_FALSE(step(set, static_cast<float>(not_a_number)));
    EXPECT_TRUE(step(set, 1));
  };
  check(zo::box(0, 1));
  check(zo::ball(1));
  check(zo::simplex(1));
  check(zo::l1_ball(1));
  check(zo::sparse(1));
}

TEST(projections, end_every_step_of_a_run) {
  auto f = [](std::span<const double> x) {
    return (x[0] - 2) * (x[0] - 2) + (x[1] - 1) * (x[1] - 1) + x[2] * x[2];
  };
  const auto best = [&](const auto& set, std::vector<double> expected) {
    std::vector<double> x(3, 0.1);
    zo::minimize_options options{.max_queries = 700};
    options.on_step = [&](const zo::step_report&) {
      auto again = projection_of(x, set);
      for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(again[i], x[i], 1e-15);
      return zo::verdict::go_on;
    };
    zo::minimize(zo::seq, f, x, zo::cge({}, zo::central{}),
                 zo::projected(zo::sgd({.rate = 0.3}), set), options);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(x[i], expected[i], 1e-6);
  };
  best(zo::box(0.5, 1.5), {1.5, 1, 0.5});
  best(zo::ball(1), {2 / std::sqrt(5.0), 1 / std::sqrt(5.0), 0});
  best(zo::simplex(2), {1.5, 0.5, 0});
}

TEST(ends_of_steps, happen_in_the_order_in_which_they_are_wrapped) {
  const zo::sgd sgd({.rate = 1});
  const auto inner = zo::proximal(zo::projected(sgd, zo::box(-1, 1)), zo::l1(0.25));
  EXPECT_EQ(step_to<>(std::vector<double>{5, 0.5}, inner), (std::vector<double>{0.75, 0.25}));
  const auto outer = zo::projected(zo::proximal(sgd, zo::l1(0.25)), zo::box(-1, 1));
  EXPECT_EQ(step_to<>(std::vector<double>{5, 0.5}, outer), (std::vector<double>{1, 0.25}));
}

TEST(ends_of_steps, keep_the_state_and_the_checks_of_their_rule) {
  const auto rule = zo::projected(zo::adam(), zo::box({0, 0}, {1, 1}));
  EXPECT_EQ(rule.start<double>(2).state().size(), 2u);
  EXPECT_TRUE(contains(complaint([&] { rule.start<double>(3); }),
                       "bounds for each of the 3 coordinates of x, got 2"));
  EXPECT_TRUE(contains(
      complaint([] { zo::proximal(zo::adam({.epsilon = 1e-46}), zo::l1(1)).start<float>(2); }),
      "epsilon"));
}

TEST(ends_of_steps, refuse_what_is_none) {
  EXPECT_TRUE(contains(complaint([] { zo::box(1, 0); }), "lower must be at most upper"));
  EXPECT_TRUE(contains(complaint([] { zo::box(not_a_number, 0); }), "lower must be"));
  EXPECT_TRUE(contains(complaint([] { zo::box({0, 2}, {1, 1}); }), "got 2 and 1"));
  EXPECT_TRUE(contains(complaint([] { zo::box({0, 2}, {1}); }), "got 2 and 1"));
  EXPECT_TRUE(contains(complaint([] { zo::sparse refused(0); }), "at least 1 number"));
  EXPECT_TRUE(contains(complaint([] { zo::group_l2(1, 0); }), "at least 1 number"));
  for (const double bad : {-1.0, infinity, not_a_number}) {
    EXPECT_TRUE(contains(complaint([&] { zo::l1 refused(bad); }), "zo::l1: weight"));
    EXPECT_TRUE(contains(complaint([&] { zo::ball refused(bad); }), "zo::ball: radius"));
    EXPECT_TRUE(contains(complaint([&] { zo::simplex refused(bad); }), "zo::simplex: radius"));
    EXPECT_TRUE(contains(complaint([&] { zo::l1_ball refused(bad); }), "zo::l1_ball: radius"));
    EXPECT_TRUE(contains(complaint([&] { zo::group_l2(bad, 1); }), "zo::group_l2: weight"));
  }
}

}  // namespace
