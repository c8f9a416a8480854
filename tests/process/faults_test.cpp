// Runs over programs that fail at random, or are killed.
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include "function.hpp"
#include "process/processes.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using faults = process_test;
using std::chrono::milliseconds;

bool all_finite(const std::vector<double>& x) {
  return zo::detail::all_finite(static_cast<index_t>(x.size()), x.data());
}

template <class F>
zo::minimize_result survive(F&& f, index_t budget) {
  std::vector<double> x = ramp<double>(4);
  const zo::rge how({.directions = 10, .smoothing = 1e-2, .failures = zo::on_failure::drop},
                    zo::gaussian{}, zo::central{});
  const zo::minimize_result run =
      zo::minimize(zo::par.with_threads(4), f, x, how, zo::adam({.rate = 0.01}),
                   {.max_queries = budget, .seed = 5});
  EXPECT_EQ(run.why, zo::status::budget_spent);
  EXPECT_LE(run.queries, budget);
  EXPECT_GT(run.queries, budget - how.queries(4));
  EXPECT_TRUE(all_finite(x));
  return run;
}

// Of 20 questions 6 fail.
TEST_F(faults, by_the_thousand) {
  const zo::process f(child({"faulty", "", mark()}), {.workers = 4, .timeout = milliseconds(50)});
  std::atomic<index_t> asked{0};
  const auto counted = [&](std::span<const double> x) {
    ++asked;
    return f(x);
  };
  const zo::minimize_result run = survive(counted, 3800);
  EXPECT_EQ(asked, run.queries);
  EXPECT_GE(run.failed, 1000);
}

TEST_F(faults, in_batches) {
  const zo::minimize_result run = survive(
      zo::process(child({"faulty", "", mark()}), {.workers = 3, .timeout = milliseconds(50)})
          .batch(),
      400);
  EXPECT_GE(run.failed, 60);
}

// 200 times at moments of their own; also between two questions.
TEST_F(faults, of_programs_that_are_killed) {
  const zo::process f(child({"slow", "1", mark()}), {.workers = 2});
  std::atomic<bool> done{false};
  const std::string own = mark();
  std::thread killer([&] {
    std::mt19937 draw(7);
    for (int kills = 0; kills < 200;) {
      const std::vector<int> targets = running(own);
      if (!targets.empty() && kill(targets[draw() % targets.size()], SIGKILL) == 0) ++kills;
      std::this_thread::sleep_for(std::chrono::microseconds(draw() % 3000));
    }
    done = true;
  });
  const std::vector<double> x = ramp<double>(3);
  std::atomic<int> answered{0}, failed{0};
  zo::detail::parallel_for(zo::par.with_threads(2), 2, [&](index_t, int) {
    while (!done) {
      const std::string sentence = failure_of([&] {
        EXPECT_EQ(f(x), valley<double>(x));
        ++answered;
      });
      if (sentence == "nothing failed") continue;
      ++failed;
      EXPECT_NE(sentence.find("was killed by signal 9"), sentence.npos) << sentence;
    }
  });
  killer.join();
  EXPECT_GT(answered, 0);
  EXPECT_GT(failed, 0);
}

TEST_F(faults, between_two_questions_are_no_failures) {
  const std::vector<double> x = ramp<double>(3);
  const zo::process f(child({"answer_and_leave", "", mark()}));
  for (int k = 0; k < 5; ++k) {
    EXPECT_EQ(f(x), valley<double>(x));
    ASSERT_TRUE(comes_true([] { return ended_children() == 1; }));
  }
}

TEST_F(faults, of_the_guardian_do_not_matter) {
  const std::vector<double> x{1, 2, 3};
  const zo::process f(child({"first_minus_is_fatal", "", mark()}));
  for (const int one : children()) {
    const std::string command = text_of_file("/proc/" + std::to_string(one) + "/cmdline");
    if (command.starts_with("zo::process guardian")) kill(one, SIGKILL);
  }
  ASSERT_TRUE(comes_true([] { return ended_children() == 1; }));
  const double bad[] = {-1};
  EXPECT_EQ(f(x), valley<double>(x));
  failure_of([&] { f(bad); });
  EXPECT_EQ(f(x), valley<double>(x));
}

}  // namespace
