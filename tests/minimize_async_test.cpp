// Workers that wait for nobody: the bits of zo::minimize where all answers count, exact budgets and
// the same minimum where they do not.
#include "zo/minimize_async.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using namespace testing_zo;

double bowl(std::span<const double> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - 1) * (x[i] - 1);
  return sum;
}

TEST(minimize_async, has_the_bits_of_a_run_that_waits_where_all_answers_count) {
  const zo::minimize_options options{.max_queries = 500, .target = 1e-9, .seed = 5};
  const auto compare = [&](const auto& how) {
    auto x = ramp<double>(6);
    const auto expected = zo::minimize(zo::seq, bowl, x, how, zo::adam({.rate = 0.05}), options);
    for (const int workers : {1, 4}) {
      auto y = ramp<double>(6);
      const auto r =
          zo::minimize_async(bowl, y, how, zo::adam({.rate = 0.05}), options, {.workers = workers});
      EXPECT_EQ(x, y);
      EXPECT_EQ(r.why, expected.why);
      EXPECT_EQ(r.value, expected.value);
      EXPECT_EQ(r.queries, expected.queries);
      EXPECT_EQ(r.steps, expected.steps);
    }
  };
  compare(zo::rge({.directions = 5}));
  compare(zo::cge({.smoothing = 1e-4}, zo::central{}));
}

TEST(minimize_async, makes_steps_with_the_first_answers_and_counts_all_that_were_asked) {
  std::atomic<index_t> made{0};
  const auto uneven = [&](std::span<const double> x) {
    const auto call = made.fetch_add(1);
    if (call % 5 == 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return bowl(x);
  };
  std::vector<double> x(4, 0.0);
  const auto r = zo::minimize_async(uneven, x, zo::rge({.directions = 8}, zo::rademacher{}),
                                    zo::sgd({.rate = 0.05}), {.max_queries = 900, .seed = 1},
                                    {.workers = 4, .answers = 6});
  EXPECT_EQ(r.why, zo::status::budget_spent);
  EXPECT_EQ(r.queries, made);
  EXPECT_LE(r.queries, 900);
  EXPECT_GE(r.steps, 99u);  // of 9 questions at most
  EXPECT_EQ(r.failed, 0);
  EXPECT_LT(bowl(x), 1e-3);  // 4 at the start
}

TEST(minimize_async, follows_the_failure_policy) {
  std::atomic<index_t> made{0};
  const auto fails = [&](std::span<const double> x) {
    if (made.fetch_add(1) % 7 == 3) throw std::runtime_error("lost");
    return bowl(x);
  };
  std::vector<double> x(4, 0.0);
  const auto run = [&](zo::on_failure then) {
    made = 0;
    return zo::minimize_async(
        fails, x, zo::rge({.directions = 4, .failures = then}, zo::rademacher{}, zo::central{}),
        zo::sgd({.rate = 0.05}), {.max_queries = 600, .seed = 2}, {.workers = 3});
  };
  const auto r = run(zo::on_failure::drop);
  EXPECT_EQ(r.why, zo::status::budget_spent);
  EXPECT_EQ(r.queries, made);
  EXPECT_GT(r.failed, 60);
  EXPECT_LT(bowl(x), 1e-3);
  EXPECT_THROW(run(zo::on_failure::stop), std::runtime_error);
  for (const double value : x) EXPECT_TRUE(std::isfinite(value));
}

TEST(minimize_async, refuses_what_is_none) {
  std::vector<double> x(4, 0.0);
  const auto said = [&](const zo::rge<>& how, const zo::async_options& async) {
    return complaint(
        [&] { zo::minimize_async(bowl, x, how, zo::sgd(), {.max_queries = 9}, async); });
  };
  EXPECT_TRUE(contains(said(zo::rge(), {.workers = 0}), "workers must be 1"));
  EXPECT_TRUE(contains(said(zo::rge(), {.answers = -1}), "answers must be at least 0"));
  EXPECT_TRUE(contains(said(zo::rge(), {.answers = 3}), "an estimate has 2 questions"));
}

TEST(minimize_async, asks_failed_points_again_as_a_run_that_waits_does) {
  // Fails when it is asked for the first time.
  struct flaky {
    std::mutex mutex;
    std::set<std::vector<double>> known;
    index_t asked = 0;
    double operator()(std::span<const double> x) {
      const std::lock_guard lock(mutex);
      ++asked;
      if (known.insert(copy_of(x)).second) throw std::runtime_error("cold");
      return bowl(x);
    }
  };
  for (const auto then : {zo::on_failure::stop, zo::on_failure::drop}) {
    const zo::rge how(
        {.directions = 5, .failures = zo::failure_options{.then = then, .retries = 1}});
    const zo::minimize_options options{.max_queries = 300, .max_steps = 20, .seed = 5};
    auto x = ramp<double>(6), y = x;
    flaky f, g;
    const auto expected = zo::minimize(zo::seq, f, x, how, zo::adam({.rate = 0.05}), options);
    const auto r = zo::minimize_async(g, y, how, zo::adam({.rate = 0.05}), options, {.workers = 3});
    EXPECT_EQ(x, y);
    EXPECT_EQ(r.queries, expected.queries);
    EXPECT_EQ(g.asked, r.queries);
    EXPECT_EQ(r.why, expected.why);
  }
}

}  // namespace
