// The parallel loop: every item once, the first exception, no global state, threads as asked.
#include "zo/execution.hpp"

#include <mutex>
#include <set>
#include <thread>

#include "support.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using namespace testing_zo;
using zo::index;  // hides index() of <strings.h>

TEST(parallel_for, runs_every_item_once) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const index items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(items));
      std::atomic<bool> worker_in_range{true};
      zo::detail::parallel_for(zo::par.with_threads(threads), items, [&](index item, int worker) {
        ++hits[static_cast<std::size_t>(item)];
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      for (const auto& hit : hits) EXPECT_EQ(hit, 1);
      EXPECT_TRUE(worker_in_range);
    }
  }
}

// An exception must not leave an OpenMP region; and which one is rethrown must
// not depend on the threads.
TEST(parallel_for, rethrows_the_exception_of_the_lowest_item) {
  for (const int threads : {1, 2, 4, 8}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::atomic<int> before{0};
      try {
        zo::detail::parallel_for(zo::par.with_threads(threads), 200, [&](index item, int) {
          if (item < 37) ++before;
          if (item == 37) std::this_thread::sleep_for(std::chrono::microseconds(200));
          if (item >= 37 && item % 2 == 1) throw std::out_of_range(std::to_string(item));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "37");
      }
      EXPECT_EQ(before, 37) << "items before the failing one have all run";
    }
  }
}

TEST(parallel_for, works_inside_a_parallel_region_of_the_user) {
  std::atomic<int> total{0};
  zo::detail::parallel_for(zo::par.with_threads(2), 4, [&](index, int) {
    zo::detail::parallel_for(zo::par.with_threads(2), 10, [&](index, int) { ++total; });
  });
  EXPECT_EQ(total, 40);
}

TEST(policies, refuse_less_than_one_thread) {
  for (const int threads : {0, -1, -5}) {
    const auto said = complaint([&] { zo::par.with_threads(threads); });
    EXPECT_TRUE(contains(said, "threads must be at least 1")) << said;
  }
  EXPECT_EQ(zo::par.with_threads(5).threads(), 5);
  EXPECT_EQ(zo::seq.threads(), 1);
}

TEST(policies, seq_never_calls_concurrently_and_stays_on_the_callers_thread) {
  const auto caller = std::this_thread::get_id();
  const auto x = ramp<double>(50);
  std::vector<double> g(50);
  auto f = [&](std::span<const double> v) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    return smooth_loss(v);
  };
  zo::estimate(zo::seq, f, x, g, zo::rge({.directions = 20}));
}

TEST(policies, batch_objectives_are_called_from_one_thread_under_par) {
  const auto caller = std::this_thread::get_id();
  const auto x = ramp<double>(5000);
  std::vector<double> g(x.size());
  auto f = [&](zo::points<double> at, std::span<double> losses) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    for (index k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = at[k][0];
  };
  zo::estimate(zo::par.with_threads(4), f, x, g, zo::rge({.directions = 20}));
}

#if defined(_OPENMP)

struct omp_state {
  int threads = omp_get_max_threads(), dynamic = omp_get_dynamic(),
      levels = omp_get_max_active_levels();
  omp_sched_t kind{};
  int chunk = 0;
  omp_state() { omp_get_schedule(&kind, &chunk); }
  bool operator==(const omp_state&) const = default;
};

TEST(policies, leave_the_state_of_openmp_alone) {
  omp_set_num_threads(3);
  const omp_state before;
  const auto x = ramp<double>(5000);
  std::vector<double> g(x.size()), y = x;
  auto f = [](std::span<const double> v) { return smooth_loss(v); };
  zo::estimate(zo::par, f, x, g, zo::rge({.directions = 8}));
  zo::estimate(zo::par.with_threads(5), f, x, g, zo::rge({.directions = 8}));
  zo::minimize(zo::par.with_threads(2), f, y, zo::rge({.directions = 8}), zo::adam(),
               {.max_queries = 100});
  EXPECT_EQ(omp_state(), before);
}

TEST(policies, par_uses_the_threads_of_openmp) {
  omp_set_num_threads(3);
  EXPECT_EQ(zo::par.threads(), 3);
  omp_set_num_threads(1);
  EXPECT_EQ(zo::par.threads(), 1);
}

// Some libraries set the number of threads inside a call. The buffers of an estimate are counted
// when it starts, so it must keep to the threads it started with.
TEST(policies, an_objective_may_change_the_number_of_openmp_threads) {
  omp_set_num_threads(2);
  const auto x = ramp<double>(3000);
  std::vector<double> expected(x.size()), g(x.size());
  const zo::rge how({.directions = 64});
  zo::estimate(
      zo::seq, [](std::span<const double> v) { return smooth_loss(v); }, x, expected, how);
  std::mutex mutex;
  std::set<const double*> buffers;
  auto meddling = [&](std::span<const double> v) {
    omp_set_num_threads(16);
    const std::lock_guard lock(mutex);
    buffers.insert(v.data());
    return smooth_loss(v);
  };
  zo::estimate(zo::par, meddling, x, g, how);
  EXPECT_TRUE(same_bits(g, expected));
  EXPECT_LE(buffers.size(), 1u + 2u) << "x itself, and one buffer for each of two threads";
  omp_set_num_threads(2);
}

#endif

}  // namespace
