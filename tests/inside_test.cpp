// Estimates between bounds: where they ask, what they find, what they refuse.
#include "zo/inside.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "support.hpp"
#include "zo/any_estimator.hpp"
#include "zo/ask.hpp"
#include "zo/boundary.hpp"
#include "zo/estimate.hpp"
#include "zo/frank_wolfe.hpp"
#include "zo/minimize.hpp"
#include "zo/optimizer.hpp"
#include "zo/proximal.hpp"
#include "zo/quadrature.hpp"

namespace {

using testing_zo::complaint;
using testing_zo::contains;
using zo::index_t;

constexpr double infinity = std::numeric_limits<double>::infinity();

// Counts points outside of the bounds.
template <class T>
struct watched {
  std::vector<double> lower, upper;
  double (*f)(std::span<const T>);
  int outside = 0;

  double operator()(std::span<const T> x) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool in = x[i] >= static_cast<T>(lower[i]) && x[i] <= static_cast<T>(upper[i]);
      outside += in ? 0 : 1;
    }
    return f(x);
  }
};

template <class T>
double slope_of(std::size_t i) {
  return static_cast<double>(i % 3) - 0.75;
}
template <class T>
double plane(std::span<const T> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += slope_of<T>(i) * static_cast<double>(x[i]);
  return sum;
}

// Coordinates at, near and between bounds, far from zero, with one bound, fixed, and narrow.
template <class T>
struct corner {
  std::vector<double> lower{0, 0, 0, 0, 1e6, -1e6, -infinity, 2, 0, 0.5, -1};
  std::vector<double> upper{1, 1, 1, 1, 2e6, -1e5, 3, infinity, 0, 0.5 + 1e-3, -1 + 1e-2};
  std::vector<T> x{0, 1, T(0.5), T(1e-3), T(1e6), T(-1e5), 3, 2, 0, T(0.5), T(-0.995)};
};

template <class T>
class inside : public testing::Test {};
using scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(inside, scalars);

template <class T, class How>
void stays_inside(const How& how, double tolerance) {
  corner<T> c;
  if (std::is_same_v<T, float>) {  // whose rounding would hide a step of this size
    c.lower[4] = 1e3, c.upper[4] = 2e3, c.x[4] = 1e3;
    c.lower[5] = -1e3, c.upper[5] = -1e2, c.x[5] = -1e2;
  }
  watched<T> f{c.lower, c.upper, &plane<T>};
  const auto bounded = zo::inside(zo::box(c.lower, c.upper), how);
  std::vector<T> gradient(c.x.size()), mean(c.x.size());
  constexpr int estimates = 400;
  for (std::uint64_t step = 0; step < estimates; ++step) {
    const auto r = zo::estimate(zo::seq, f, c.x, gradient, bounded, {.seed = 7, .step = step});
    ASSERT_TRUE(r.ok) << to_string(r.why);
    EXPECT_EQ(r.queries, how.queries(static_cast<index_t>(c.x.size())));
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += gradient[i] / estimates;
  }
  EXPECT_EQ(f.outside, 0);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double expected = i == 8 ? 0 : slope_of<T>(i);   // fixed
    const double shorter = i == 9 ? 20 : i == 10 ? 2 : 1;  // than the reach of 1e-2
    const double reach = how.reach() / 1e-2;
    EXPECT_NEAR(static_cast<double>(mean[i]), expected, tolerance * (i >= 9 ? shorter * reach : 1))
        << i;
  }
}

// The variance of one direction is |g|² a coordinate, of the mean of 400 of 16 a 6,400th; the
// bounds are 5 standard deviations of a slope of length 2.6. Steps that are shorter by a factor
// have deviations larger by it.
TYPED_TEST(inside, asks_between_the_bounds_and_finds_the_slopes_of_a_plane) {
  using T = TypeParam;
  const double exact = std::is_same_v<T, float> ? 0.05 : 1e-6;
  const double random = 5 * 2.7 * std::sqrt(2.0 / 6400) + exact;
  const zo::rge_options sixteen{.directions = 16, .smoothing = 1e-2};
  stays_inside<T>(zo::cge({.smoothing = 1e-2}), exact);
  stays_inside<T>(zo::cge({.smoothing = 1e-2}, zo::central{}), exact);
  stays_inside<T>(zo::rge(sixteen, zo::rademacher{}), random);
  stays_inside<T>(zo::rge(sixteen, zo::rademacher{}, zo::central{}), random);
  stays_inside<T>(zo::rge(sixteen), random * 1.5);
  stays_inside<T>(zo::rge(sixteen, zo::sphere{}), random * 1.5);
  stays_inside<T>(zo::any_estimator<T>({.estimator = "cge", .smoothing = 1e-2}), exact);
}

TEST(inside, quadrature_stays_there_too) {
  std::vector<double> directions(121, 0.0);
  for (std::size_t i = 0; i < 11; ++i) directions[12 * i] = i % 2 == 0 ? 1 : -1;
  stays_inside<double>(
      zo::quadrature(
          {.directions = directions, .weights = std::vector<double>(11, 1.0), .smoothing = 1e-2}),
      1e-6);
}

TEST(inside, changes_nothing_far_from_the_bounds) {
  const std::vector<double> x{0.25, -0.5, 0.125};
  const auto f = [](std::span<const double> at) { return at[0] * at[1] + std::exp(at[2]); };
  std::vector<double> with(3), without(3);
  const zo::rge how({.directions = 4});
  zo::estimate(zo::seq, f, x, with, zo::inside(zo::box(-1, 1), how), {.seed = 3});
  zo::estimate(zo::seq, f, x, without, how, {.seed = 3});
  EXPECT_EQ(with, without);
}

TEST(inside, is_the_same_bits_for_every_policy_and_kind_of_objective) {
  const corner<double> c;
  const zo::box bounds(c.lower, c.upper);
  const auto one = [](std::span<const double> x) { return plane(x) + x[0] * x[1]; };
  const auto many = [&](zo::points<double> all, std::span<double> losses) {
    for (index_t k = 0; k < all.count; ++k) losses[static_cast<std::size_t>(k)] = one(all[k]);
  };
  const auto check = [&](const auto& how) {
    std::vector<double> expected(11), found(11);
    zo::estimate(zo::seq, one, c.x, expected, zo::inside(bounds, how), {.seed = 5});
    for (const int threads : {1, 3}) {
      zo::estimate(zo::par.with_threads(threads), one, c.x, found, zo::inside(bounds, how),
                   {.seed = 5});
      EXPECT_EQ(found, expected);
    }
    zo::estimate(zo::par, many, c.x, found, zo::inside(bounds, how), {.seed = 5});
    EXPECT_EQ(found, expected);
    zo::estimate(zo::seq, many, c.x, found, zo::inside(bounds, how),
                 {.seed = 5, .chunk_bytes = 200});
    EXPECT_EQ(found, expected);
  };
  check(zo::cge({.smoothing = 1e-2}, zo::central{}));
  check(zo::rge({.directions = 5, .smoothing = 1e-2}, zo::sphere{}));
}

TEST(inside, rows_have_the_same_bounds) {
  const std::vector<double> z{0, 0.5, 1, 0.5, 1, 0};
  int outside = 0;
  const auto f = [&](std::span<const double> at, index_t row) {
    for (const double v : at) outside += v < 0 || v > 1 ? 1 : 0;
    return (1 + static_cast<double>(row)) * (at[0] - 2 * at[1]);
  };
  const auto r = zo::boundary(zo::seq, f, zo::points<double>{z, 3, 2},
                              zo::inside(zo::box(0, 1), zo::cge({.smoothing = 0.1})), {});
  EXPECT_EQ(outside, 0);
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_NEAR(r.gradients[2 * row], 1.0 + static_cast<double>(row), 1e-12);
    EXPECT_NEAR(r.gradients[2 * row + 1], -2.0 * (1 + static_cast<double>(row)), 1e-12);
  }
}

// ---- five problems of a first afternoon

// 12 numbers between 0 and 1, of which 8 end at a bound.
struct walled {
  int asked = 0, outside = 0;
  double operator()(std::span<const double> x) {
    ++asked;
    bool in = true;
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      in = in && x[i] >= 0 && x[i] <= 1;
      const double away = x[i] - (static_cast<double>(i) / 4 - 0.875);
      sum += away * away;
    }
    outside += in ? 0 : 1;
    return sum;
  }
  // Least: where each number is as near as it can be, at 0 for -0.875 … and at 1 for 1.125 ….
  static constexpr double least =
      2 * (0.875 * 0.875 + 0.625 * 0.625 + 0.375 * 0.375 + 0.125 * 0.125);
};
template <class How, class Rule>
std::pair<walled, zo::minimize_result> run_in_box(const How& how, const Rule& rule, int queries) {
  walled f;
  std::vector<double> x(12, 0.5);
  const auto r = zo::minimize(zo::seq, f, x, how, zo::projected(rule, zo::box(0, 1)),
                              {.max_queries = queries, .seed = 3});
  return {f, r};
}

TEST(constrained, in_a_box_by_random_directions_asks_nothing_outside) {
  const zo::rge how({.directions = 8}, zo::gaussian{}, zo::central{});
  const zo::sgd rule({.rate = zo::cosine({.peak = 0.02, .steps = 1750})});
  EXPECT_GT(run_in_box(how, rule, 30'000).first.outside, 24'000);  // what one gets without
  const auto [f, r] = run_in_box(zo::inside(zo::box(0, 1), how), rule, 30'000);
  EXPECT_EQ(f.outside, 0);
  EXPECT_NEAR(r.value, walled::least, 2e-2);  // the noise that is left
}

TEST(constrained, in_a_box_coordinate_by_coordinate_asks_nothing_outside) {
  const zo::cge how;
  const zo::adam rule({.rate = 0.02});
  EXPECT_GT(run_in_box(how, rule, 10'000).first.outside, 2'000);
  const auto [f, r] = run_in_box(zo::inside(zo::box(0, 1), how), rule, 10'000);
  EXPECT_EQ(f.outside, 0);
  EXPECT_NEAR(r.value, walled::least, 1e-5);
}

// Kullback and Leibler: no number below zero has a logarithm.
struct divergence {
  std::vector<double> p{0.5, 0.25, 0.125, 0.125};
  double operator()(std::span<const double> x) const {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      sum += x[i] > 0 ? x[i] * std::log(x[i] / p[i]) : x[i] < 0 ? std::nan("") : 0;
    }
    return sum;
  }
};
template <class F, class How, class Rule>
void finds_the_distribution(const F& f, const How& how, Rule rule, double tolerance) {
  std::vector<double> x{0, 0, 0, 1};
  const auto r = zo::minimize(zo::seq, f, x, zo::inside(zo::box(0, infinity), how), rule,
                              {.max_queries = 16'000});
  EXPECT_EQ(r.why, zo::status::budget_spent);
  EXPECT_EQ(r.failed, 0);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(x[i], divergence{}.p[i], tolerance);
}

TEST(constrained, a_divergence_on_the_simplex_finds_its_minimum) {
  const zo::cge each({.smoothing = 1e-5}, zo::central{});
  const zo::rge random({.directions = 8, .smoothing = 1e-5}, zo::rademacher{}, zo::central{});
  const zo::sgd rule({.rate = zo::cosine({.peak = 0.05, .steps = 900})});
  finds_the_distribution(divergence{}, each, zo::projected(rule, zo::simplex()), 1e-4);
  finds_the_distribution(divergence{}, random, zo::projected(rule, zo::simplex()), 2e-2);
  finds_the_distribution(divergence{}, each, zo::frank_wolfe(zo::simplex(), 4), 1e-2);
}

// f that is asked about shares of a whole only. Dividing by the sum adds the same number to all
// slopes, which the projection takes away again.
TEST(constrained, shares_that_must_add_up_do_in_every_query) {
  const zo::sgd rule({.rate = zo::cosine({.peak = 0.05, .steps = 1900})});
  const auto shares = [](std::span<const double> x) {
    std::vector<double> share(x.begin(), x.end());
    const double sum = std::accumulate(x.begin(), x.end(), 0.0);
    for (double& value : share) value /= sum;
    EXPECT_NEAR(std::accumulate(share.begin(), share.end(), 0.0), 1, 1e-15);
    return divergence{}(share);
  };
  finds_the_distribution(shares, zo::cge({.smoothing = 1e-5}, zo::central{}),
                         zo::projected(rule, zo::simplex()), 1e-4);
}

// f + 0.3 sum |x| with f = sum c (x - t)^2 / 2: the soft threshold t - 0.3 / c, at zero exactly.
TEST(constrained, a_penalty_follows_the_rate_of_its_step) {
  const std::vector<double> target{2, -0.2, 0.1, -3}, weight{1, 1, 2, 0.5};
  const auto f = [&](std::span<const double> x) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      sum += 0.5 * weight[i] * (x[i] - target[i]) * (x[i] - target[i]);
    }
    return sum;
  };
  const zo::sgd rule({.rate = zo::cosine({.peak = 0.4, .steps = 250, .warmup = 20})});
  std::vector<double> x(4, 1.0);
  zo::minimize(zo::seq, f, x, zo::cge({}, zo::central{}), zo::proximal(rule, zo::l1(0.3)),
               {.max_queries = 2001});
  EXPECT_NEAR(x[0], 1.7, 1e-8);
  EXPECT_EQ(x[1], 0);
  EXPECT_EQ(x[2], 0);
  EXPECT_NEAR(x[3], -2.4, 1e-6);
}

TEST(inside, runs_that_are_asked_and_told_never_leave_the_box) {
  const zo::box bounds({0, 0, -1}, {1, 0, 1});
  const auto f = [](std::span<const double> x) {
    return (x[0] - 2) * (x[0] - 2) + x[1] + (x[2] - 0.25) * (x[2] - 0.25);
  };
  const auto how = zo::inside(bounds, zo::rge({.directions = 4}, zo::rademacher{}, zo::central{}));
  const auto rule = zo::projected(zo::sgd({.rate = 0.005}), bounds);
  const zo::minimize_options options{.max_queries = 4000, .target = -100, .seed = 2};
  std::vector<double> x{0, 0, 0};
  const auto expected = zo::minimize(zo::seq, f, x, how, rule, options);
  EXPECT_NEAR(x[0], 1, 1e-12);
  EXPECT_EQ(x[1], 0);
  EXPECT_NEAR(x[2], 0.25, 0.2);  // five deviations of such a walk
  zo::ask<double> run(std::vector<double>{0, 0, 0}, how, rule, options);
  while (!run.over()) {
    for (const auto& q : run.ask(3)) {
      EXPECT_TRUE(q.point[0] >= 0 && q.point[0] <= 1 && q.point[1] == 0 && q.point[2] >= -1);
      run.tell(q.id, q.point, f(q.point));
    }
  }
  EXPECT_EQ(run.result().queries, expected.queries);
  EXPECT_EQ(run.result().value, expected.value);
}

struct separable {
  double prepare(std::span<const double> at, zo::sample_id) {
    x.assign(at.begin(), at.end());
    return plane<double>(x);
  }
  void probe(std::span<const index_t> coordinates, std::span<const double> steps,
             std::span<double> differences) {
    for (std::size_t k = 0; k < steps.size(); ++k) {
      const auto i = static_cast<std::size_t>(coordinates[k]);
      outside += x[i] + steps[k] < 0 || x[i] + steps[k] > 1 ? 1 : 0;
      differences[k] = steps[k] * slope_of<double>(i);
    }
  }
  std::vector<double> x{};
  int outside = 0;
};

TEST(inside, differences_of_coordinates_stay_there_where_bounds_are_wide) {
  separable f;
  std::vector<double> x{0, 1, 0.5}, gradient(3);
  const zo::cge how({.smoothing = 1e-2}, zo::central{});
  zo::estimate(zo::seq, f, x, gradient, zo::inside(zo::box(0, 1), how));
  EXPECT_EQ(f.outside, 0);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(gradient[i], slope_of<double>(i), 1e-12);
  EXPECT_TRUE(contains(
      complaint([&] {
        zo::estimate(zo::seq, f, x, gradient, zo::inside(zo::box({0, 1, 0}, {1, 1, 1}), how));
      }),
      "all bounds must be more than 0.02 apart"));
}

TEST(inside, refuses_what_is_outside) {
  std::vector<double> x{0.5, 1.5}, gradient(2);
  const auto estimate = [&](const auto& how) {
    return complaint([&] { zo::estimate(zo::seq, plane<double>, x, gradient, how); });
  };
  EXPECT_TRUE(contains(estimate(zo::inside(zo::box(0, 1), zo::cge())),
                       "coordinate 1 of x is 1.5, outside of its bounds 0 and 1"));
  EXPECT_TRUE(contains(estimate(zo::inside(zo::box(std::vector{0.0}, std::vector{1.0}), zo::cge())),
                       "bounds for each"));
  EXPECT_TRUE(contains(complaint([] { zo::inside(zo::box(0, 1), zo::cge({.relative = true})); }),
                       "relative"));
}

}  // namespace
