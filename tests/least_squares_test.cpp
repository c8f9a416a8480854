// Levenberg-Marquardt on answers alone.
#include "zo/least_squares.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::coloring;
using zo::on_failure;
using zo::status;

void rosenbrock(std::span<const double> x, std::span<double> r) {
  r[0] = 10 * (x[1] - x[0] * x[0]);
  r[1] = 1 - x[0];
}

TEST(least_squares, finds_the_end_of_rosenbrocks_valley) {
  std::vector<double> x{-1.2, 1};
  index_t count = 0;
  const auto f = [&](std::span<const double> at, std::span<double> r) {
    ++count;
    rosenbrock(at, r);
  };
  const auto run = zo::least_squares(zo::seq, f, x, 2, {.max_queries = 200, .target = 1e-20});
  EXPECT_EQ(run.why, status::target_reached);
  EXPECT_NEAR(x[0], 1, 1e-8);
  EXPECT_NEAR(x[1], 1, 1e-8);
  EXPECT_EQ(run.queries, count);
  EXPECT_LT(run.queries, 120);
  std::vector<double> r(2);
  rosenbrock(x, r);
  EXPECT_TRUE(same_bits(run.residuals, r));
}

// Misra1a of NIST's Statistical Reference Datasets, from its first start; certified values.
TEST(least_squares, nist_misra1a) {
  const std::vector<double> y{10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
                              44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78};
  const std::vector<double> t{77.6,  114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
                              378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0};
  const auto f = [&](std::span<const double> b, std::span<double> r) {
    for (std::size_t i = 0; i < r.size(); ++i) r[i] = b[0] * (1 - std::exp(-b[1] * t[i])) - y[i];
  };
  std::vector<double> b{500, 1e-4};
  const auto run = zo::least_squares(zo::seq, f, b, 14, {.max_queries = 500},
                                     cge({.smoothing = 1e-8}, central{}));
  EXPECT_EQ(run.why, status::converged);
  EXPECT_NEAR(b[0] / 2.3894212918E+02, 1, 1e-6);
  EXPECT_NEAR(b[1] / 5.5015643181E-04, 1, 1e-6);
  EXPECT_NEAR(2 * run.value / 1.2455138894E-01, 1, 1e-9);
}

// Broyden's tridiagonal function (Moré, Garbow and Hillstrom 1981, number 30), by 3 colors.
void broyden(std::span<const double> x, std::span<double> r) {
  const std::size_t n = x.size();
  for (std::size_t i = 0; i < n; ++i) {
    const double before = i > 0 ? x[i - 1] : 0, after = i + 1 < n ? x[i + 1] : 0;
    r[i] = (3 - 2 * x[i]) * x[i] - before - 2 * after + 1;
  }
}

TEST(least_squares, a_sparse_problem_costs_four_queries_a_step) {
  const index_t n = 2000;
  const coloring colors(zo::banded(n, n, 1, 1));
  std::vector<double> x(static_cast<std::size_t>(n), -1.0);
  const auto run =
      zo::least_squares(zo::par, broyden, x, colors, {.max_queries = 100, .target = 1e-18});
  EXPECT_EQ(run.why, status::target_reached);
  EXPECT_EQ(run.queries, 1 + 4 * static_cast<index_t>(run.steps));
  EXPECT_LT(run.steps, 8u);
  std::vector<double> again(static_cast<std::size_t>(n), -1.0);
  zo::least_squares(zo::par.with_threads(4), broyden, again, colors,
                    {.max_queries = 100, .target = 1e-18});
  EXPECT_TRUE(same_bits(x, again));
}

TEST(least_squares, dense_and_colored_agree) {
  const index_t n = 40;
  std::vector<double> dense(static_cast<std::size_t>(n), -1.0), sparse = dense;
  const auto a =
      zo::least_squares(zo::seq, broyden, dense, n, {.max_queries = 2000, .max_steps = 3});
  const auto b = zo::least_squares(zo::seq, broyden, sparse, coloring(zo::banded(n, n, 1, 1)),
                                   {.max_queries = 2000, .max_steps = 3});
  EXPECT_EQ(a.why, status::steps_done);
  EXPECT_EQ(b.why, status::steps_done);
  for (std::size_t i = 0; i < dense.size(); ++i) EXPECT_NEAR(dense[i], sparse[i], 1e-9);
  EXPECT_EQ(a.queries, 1 + 3 * (n + 1));
}

// A linear problem whose solution is known: the normal equations of a line through points.
TEST(least_squares, gauss_newton_solves_a_linear_problem_in_a_step) {
  const std::vector<double> t{0, 1, 2, 3}, y{1, 2.5, 3.5, 6};  // slope 1.6, intercept 0.85
  std::vector<double> x{0, 0};
  const auto line = [&](std::span<const double> at) {
    std::vector<double> r;
    for (std::size_t i = 0; i < 4; ++i) r.push_back(at[0] + at[1] * t[i] - y[i]);
    return r;
  };
  const auto run = zo::least_squares(zo::seq, line, x, 4, {.max_queries = 20, .damping = 0});
  EXPECT_EQ(run.why, status::converged);
  EXPECT_NEAR(x[0], 0.85, 1e-8);
  EXPECT_NEAR(x[1], 1.6, 1e-8);
  EXPECT_LE(run.steps, 2u);
}

TEST(least_squares, budgets_are_never_exceeded) {
  for (index_t budget = 0; budget < 30; ++budget) {
    index_t count = 0;
    const auto f = [&](std::span<const double> at, std::span<double> r) {
      ++count;
      rosenbrock(at, r);
    };
    std::vector<double> x{-1.2, 1};
    const auto run = zo::least_squares(zo::seq, f, x, 2, {.max_queries = budget});
    EXPECT_LE(count, budget);
    EXPECT_EQ(run.queries, count);
    EXPECT_EQ(run.why, status::budget_spent);
    EXPECT_EQ(std::isnan(run.value), budget == 0);
  }
}

TEST(least_squares, a_trial_that_fails_is_a_step_too_far) {
  // Newton's step from 4 for log(x) = 0 goes to -1.5, where there is no answer.
  std::vector<double> x{4};
  const auto f = [](std::span<const double> at, std::span<double> r) {
    if (at[0] <= 0) throw std::runtime_error("outside");
    r[0] = std::log(at[0]);
  };
  const auto run = zo::least_squares(zo::seq, f, x, 1, {.max_queries = 100, .target = 1e-16},
                                     cge({.smoothing = 1e-7, .failures = on_failure::drop}));
  EXPECT_EQ(run.why, status::target_reached);
  EXPECT_GT(run.failed, 0);
  EXPECT_EQ(run.failure->why, "outside");
  EXPECT_NEAR(x[0], 1, 1e-7);
  std::vector<double> stopped{4};
  EXPECT_THROW(zo::least_squares(zo::seq, f, stopped, 1, {.max_queries = 100}), std::runtime_error);
  EXPECT_EQ(stopped[0], 4);  // the best point so far
  const auto nan = [](std::span<const double> at, std::span<double> r) { r[0] = std::log(at[0]); };
  const auto ended = zo::least_squares(zo::seq, nan, stopped, 1, {.max_queries = 100});
  EXPECT_EQ(ended.why, status::query_failed);
  EXPECT_EQ(stopped[0], 4);
}

TEST(least_squares, a_column_that_does_nothing_stays) {
  std::vector<double> x{3, 7, 2};
  const auto f = [](std::span<const double> at, std::span<double> r) {
    r[0] = at[0] - 1;
    r[1] = at[2] - 5;
  };
  const auto run = zo::least_squares(zo::seq, f, x, 2, {.max_queries = 100, .target = 1e-18});
  EXPECT_EQ(run.why, status::target_reached);
  EXPECT_EQ(x[1], 7);
}

TEST(least_squares, the_callback_sees_and_stops) {
  std::vector<double> x{-1.2, 1};
  std::vector<double> values;
  const auto run =
      zo::least_squares(zo::seq, rosenbrock, x, 2,
                        {.max_queries = 1000, .on_step = [&](const zo::step_report& at) {
                           values.push_back(at.value);
                           return values.size() == 3 ? zo::verdict::stop : zo::verdict::go_on;
                         }});
  EXPECT_EQ(run.why, status::callback_stopped);
  EXPECT_EQ(values.size(), 3u);
  EXPECT_TRUE(values[0] > values[1] && values[1] > values[2]);
}

TEST(least_squares, complains_in_sentences) {
  std::vector<double> x{1, 2};
  EXPECT_EQ(complaint([&] { zo::least_squares(zo::seq, rosenbrock, x, 2, {}); }),
            "zo::least_squares: set max_queries, the number of evaluations that may be made");
  EXPECT_EQ(complaint([&] {
              zo::least_squares(zo::seq, rosenbrock, x, 2, {.max_queries = 5, .damping = -1});
            }),
            "zo::least_squares: damping must be a number of at least 0, got -1");
  EXPECT_EQ(complaint([&] { zo::least_squares(zo::seq, rosenbrock, x, 0, {.max_queries = 5}); }),
            "zo::least_squares: F must answer at least 1 number, got 0");
}

}  // namespace
