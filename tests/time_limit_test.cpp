// Answers that come too late.
#include "zo/time_limit.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using namespace testing_zo;
using std::chrono::milliseconds;

// Lets those go on that hang.
struct gate {
  std::atomic<bool> open{false};
  std::atomic<int> hanging{0}, left{0};
  void hang() {
    ++hanging;
    while (!open) std::this_thread::sleep_for(milliseconds(1));
    ++left;
  }
};

TEST(time_limit, changes_no_answer_that_is_in_time) {
  const auto f = [](std::span<const double> at) { return smooth_loss(at); };
  auto x = ramp<double>(6), y = x;
  const zo::minimize_options options{.max_queries = 200, .seed = 3};
  const zo::rge how({.directions = 3});
  const auto expected = zo::minimize(zo::seq, f, x, how, zo::sgd({.rate = 1e-3}), options);
  const auto r = zo::minimize(zo::par.with_threads(3), zo::time_limit(f, std::chrono::hours(1)), y,
                              how, zo::sgd({.rate = 1e-3}), options);
  EXPECT_EQ(x, y);
  EXPECT_EQ(r.value, expected.value);
}

TEST(time_limit, leaves_late_calls_behind_with_all_they_need) {
  const auto door = std::make_shared<gate>();
  std::vector<double> x{1, 2, 3}, g(3);
  {
    std::atomic<int> call{0};
    const auto f = [door, &call](std::span<const double> at) {
      if (call++ == 2) {
        door->hang();
        EXPECT_EQ(at.size(), 3u);
        EXPECT_EQ(at[0], 1);  // a point of its own: the buffer of the estimate is gone
      }
      return at[0] + at[1] + 2 * at[2];
    };
    const auto r = zo::estimate(zo::seq, zo::time_limit(f, milliseconds(200)), x, g,
                                zo::cge({.failures = zo::on_failure::drop}));
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.queries, 4);
    EXPECT_EQ(r.failed, 1);
    ASSERT_NE(r.failure, nullptr);
    EXPECT_EQ(r.failure->why, "zo::time_limit: no answer within 0.2 s");
    EXPECT_EQ(g[1], 0);
    EXPECT_NEAR(g[2], 2, 1e-9);
  }
  door->open = true;
  while (door->left < door->hanging) std::this_thread::sleep_for(milliseconds(1));
}

TEST(time_limit, passes_exceptions_on_and_takes_samples_and_rows) {
  const zo::time_limit throws(
      [](std::span<const double>) -> double { throw std::logic_error("no"); },
      std::chrono::hours(1));
  const std::vector<double> x{1};
  for (int twice = 0; twice < 2; ++twice) EXPECT_THROW(throws(x), std::logic_error);
  std::vector<double> g(1);
  const zo::time_limit sampled(
      [](std::span<const double> at, zo::sample_id sample) {
        return at[0] * static_cast<double>(sample);
      },
      std::chrono::hours(1));
  zo::estimate(zo::seq, sampled, x, g, zo::cge(), {.sample = 7});
  EXPECT_NEAR(g[0], 7, 1e-9);
}

TEST(time_limit, ends_a_run_in_which_too_many_calls_hang) {
  const auto door = std::make_shared<gate>();
  const auto f = [door](std::span<const double>) {
    door->hang();
    return 0.0;
  };
  std::vector<double> x{1, 2};
  EXPECT_TRUE(contains(
      [&]() -> std::string {
        try {
          zo::minimize(zo::seq, zo::time_limit(f, milliseconds(1), 3), x,
                       zo::cge({.failures = zo::on_failure::drop}), zo::sgd(),
                       {.max_queries = 1000});
        } catch (const zo::interrupted& why) {
          return why.what();
        }
        return "";
      }(),
      "3 calls that were late are still running"));
  EXPECT_EQ(x, (std::vector<double>{1, 2}));
  door->open = true;
  while (door->left < door->hanging) std::this_thread::sleep_for(milliseconds(1));
}

TEST(time_limit, refuses_what_is_none) {
  const auto f = [](std::span<const double>) { return 0.0; };
  EXPECT_TRUE(contains(complaint([&] { zo::time_limit(f, milliseconds(0)); }), "above 0"));
  EXPECT_TRUE(contains(complaint([&] { zo::time_limit(f, milliseconds(1), 0); }), "most_late"));
}

}  // namespace
