// The parallel loop: every item once, the first exception, no global state, threads as asked.
#include "zo/execution.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "support.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using namespace testing_zo;
using zo::index_t;

TEST(parallel_for, runs_every_item_once) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const index_t items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(items));
      std::atomic<bool> worker_in_range{true};
      zo::detail::parallel_for(zo::par.with_threads(threads), items, [&](index_t item, int worker) {
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
        zo::detail::parallel_for(zo::par.with_threads(threads), 200, [&](index_t item, int) {
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
  zo::detail::parallel_for(zo::par.with_threads(2), 4, [&](index_t, int) {
    zo::detail::parallel_for(zo::par.with_threads(2), 10, [&](index_t, int) { ++total; });
  });
  EXPECT_EQ(total, 40);
}

// Schedules of some runtimes hand out items in no order; a thread that has thrown must then not ask
// at a point that its buffer no longer holds. The exception tells the point.
TEST(parallel_for, takes_items_in_ascending_order) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::vector<index_t> last(4, -1);
    bool ascending = true;
    std::mutex mutex;
    zo::detail::parallel_for(zo::par.with_threads(4), 300, [&](index_t item, int worker) {
      const std::lock_guard lock(mutex);
      ascending &= item > last[static_cast<std::size_t>(worker)];
      last[static_cast<std::size_t>(worker)] = item;
    });
    EXPECT_TRUE(ascending);
  }
}

TEST(policies, the_lowest_of_several_exceptions_reaches_the_caller_with_its_point) {
  const auto x = ramp<double>(80);
  std::vector<double> g(x.size());
  auto f = [&](std::span<const double> v) -> double {
    std::string moved;
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (v[i] != x[i]) moved += std::to_string(i) + " ";
    }
    if (moved == "3 " || moved == "7 ") usleep(200);  // others then fail first
    const bool several = std::ranges::count(moved, ' ') > 1;
    if (several || moved == "9 " || moved == "20 " || moved == "41 " || moved == "60 ") {
      throw std::out_of_range(moved);
    }
    return smooth_loss(v);
  };
  for (const int threads : {1, 2, 4, 7}) {
    for (int repeat = 0; repeat < 100; ++repeat) {
      try {
        zo::estimate(zo::par.with_threads(threads), f, x, g, zo::cge());
        FAIL() << "nothing was thrown";
      } catch (const std::out_of_range& error) {
        ASSERT_STREQ(error.what(), "9 ");
      }
    }
  }
}

// ---- the state of the process

// Exit code of work() in a child process; -1 where it hangs or is killed.
template <class Work>
int in_a_child(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(work());
  }
  int state = 0;
  waitpid(child, &state, 0);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

std::vector<double> estimated(const zo::execution_policy auto& policy) {
  const auto x = ramp<double>(20000);
  std::vector<double> g(x.size());
  auto f = [](std::span<const double> v) { return smooth_loss(v); };
  zo::estimate(policy, f, x, g, zo::rge({.directions = 16}));
  return g;
}

TEST(forked_processes, give_the_same_bits) {
  const auto two = zo::par.with_threads(2);
  const std::vector<double> expected = estimated(two);  // the threads are now there
  const auto same = [&] { return same_bits(estimated(two), expected) ? 7 : 1; };
  EXPECT_EQ(in_a_child(same), 7);
  EXPECT_EQ(in_a_child([&] { return in_a_child(same); }), 7) << "a child of a child";
  EXPECT_TRUE(same_bits(estimated(two), expected)) << "and the parent goes on";
}

TEST(forked_processes, still_use_several_threads_and_nest_loops) {
  estimated(zo::par.with_threads(2));
  EXPECT_EQ(in_a_child([] {
              std::atomic<int> together{0}, total{0};
              zo::detail::parallel_for(zo::par.with_threads(2), 2, [&](index_t, int) {
                ++together;
                while (together < 2) std::this_thread::yield();  // alarm() ends it otherwise
                zo::detail::parallel_for(zo::par.with_threads(2), 10,
                                         [&](index_t, int) { ++total; });
              });
              return total == 20 ? 7 : 1;
            }),
            7);
}

TEST(forked_processes, may_come_from_inside_an_objective) {
  const std::vector<double> expected = estimated(zo::par.with_threads(2));
  std::atomic<int> answers{0};
  const auto x = ramp<double>(5);
  std::vector<double> g(x.size());
  auto f = [&](std::span<const double> v) {
    if (in_a_child(
            [&] { return same_bits(estimated(zo::par.with_threads(2)), expected) ? 7 : 1; }) == 7) {
      ++answers;
    }
    return v[0];
  };
  zo::estimate(zo::par.with_threads(2), f, x, g, zo::rge({.directions = 3}));
  EXPECT_EQ(answers, 4);
}

class arithmetic : public testing::Test {
 protected:
  std::fenv_t before_{};
  void SetUp() override { std::fegetenv(&before_); }
  void TearDown() override { std::fesetenv(&before_); }
};

TEST_F(arithmetic, every_thread_rounds_as_the_caller_does) {
  const std::vector<double> nearest = estimated(zo::par.with_threads(2));  // the threads are there
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    const std::vector<double> alone = estimated(zo::seq);
    EXPECT_FALSE(same_bits(alone, nearest));
    for (const int threads : {2, 3}) {
      EXPECT_TRUE(same_bits(estimated(zo::par.with_threads(threads)), alone)) << mode;
    }
    EXPECT_EQ(std::fegetround(), mode) << "the caller's is left alone";
    std::fesetround(FE_TONEAREST);
    EXPECT_TRUE(same_bits(estimated(zo::par.with_threads(3)), nearest)) << "and the threads' own";
  }
}

#if defined(__SSE__)
TEST_F(arithmetic, every_thread_flushes_denormals_as_the_caller_does) {
  const auto products = [] {
    std::vector<float> made(100);
    zo::detail::parallel_for(zo::par.with_threads(3), 100, [&](index_t item, int) {
      volatile float tiny = 1e-30f, factor = 1e-10f;
      made[static_cast<std::size_t>(item)] = tiny * factor;
      std::this_thread::sleep_for(std::chrono::microseconds(20));  // so that all take part
    });
    return made;
  };
  for (const float one : products()) EXPECT_GT(one, 0);
  _mm_setcsr(_mm_getcsr() | 0x8040u);  // flush to zero, denormals are zero
  for (const float one : products()) EXPECT_EQ(one, 0);
  _mm_setcsr(_mm_getcsr() & ~0x8040u);
  for (const float one : products()) EXPECT_GT(one, 0);
}
#endif

// A cancelled thread ends, its program goes on, and the loop is not left half way.
template <class Policy>
void cancel_an_estimate(const Policy& policy) {
  struct shared {
    Policy policy;
    std::atomic<int> asked{0};
    std::atomic<bool> ended{false};
  } state{policy};
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* of) -> void* {
                  auto& in = *static_cast<shared*>(of);
                  const auto x = ramp<double>(5);
                  std::vector<double> g(x.size());
                  auto f = [&in](std::span<const double> v) {
                    ++in.asked;
                    usleep(20000);
                    return v[0];
                  };
                  zo::estimate(in.policy, f, x, g, zo::rge({.directions = 8}));
                  sleep(0);  // a cancellation point, were none in the estimate
                  in.ended = true;
                  return nullptr;
                },
                &state),
            0);
  while (state.asked < 2) std::this_thread::yield();
  EXPECT_EQ(pthread_cancel(thread), 0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_FALSE(state.ended);
}

TEST(cancellation, ends_the_thread_and_nothing_else) {
  cancel_an_estimate(zo::seq);
  cancel_an_estimate(zo::par.with_threads(2));
  const auto g = estimated(zo::par.with_threads(2));
  EXPECT_TRUE(same_bits(g, estimated(zo::seq)));
}

// A system that gives no more threads, or no more memory for their stacks.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(threads, are_as_many_as_the_system_gives) {
  EXPECT_EQ(in_a_child([] {
              // As a fresh program: the child of a fork uses no runtime.
              const rlimit space{rlim_t{1} << 30, rlim_t{1} << 30};
              setrlimit(RLIMIT_AS, &space);
              execl("/proc/self/exe", "execution_test", "--gtest_filter=starved.*",
                    "--gtest_brief=1", nullptr);
              return 1;
            }),
            0);
}

TEST(starved, estimates_are_the_same) {
  EXPECT_TRUE(same_bits(estimated(zo::par.with_threads(1000)), estimated(zo::seq)));
  std::atomic<index_t> made{0};
  zo::detail::parallel_for(zo::par.with_threads(1000), 3000, [&](index_t, int) { ++made; });
  EXPECT_EQ(made, 3000);
}
#endif

TEST(threads, beyond_all_use_are_not_made) {
  const auto many = zo::par.with_threads(std::numeric_limits<int>::max());
  std::atomic<bool> in_range{true};
  std::atomic<int> made{0};
  zo::detail::parallel_for(many, 3, [&](index_t, int worker) {
    ++made;
    if (worker < 0 || worker >= 3) in_range = false;
  });
  zo::detail::parallel_ranges(many, 100000, 1, [&](index_t, index_t) { ++made; });
  EXPECT_TRUE(in_range);
  EXPECT_GE(made, 3 + 1024);
  EXPECT_TRUE(same_bits(estimated(many), estimated(zo::seq)));
}

struct own_policy {
  int count;
  int threads() const { return count; }
};

TEST(policies, of_the_user_need_a_thread) {
  const auto x = ramp<double>(5);
  std::vector<double> g(x.size());
  auto f = [](std::span<const double> v) { return v[0]; };
  for (const int threads : {0, -3}) {
    const auto said =
        complaint([&] { zo::estimate(own_policy{threads}, f, x, g, zo::rge({.directions = 4})); });
    EXPECT_TRUE(
        contains(said, "a policy must have at least 1 thread, got " + std::to_string(threads)))
        << said;
  }
  EXPECT_TRUE(zo::estimate(own_policy{3}, f, x, g, zo::cge()).ok);
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
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = at[k][0];
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
