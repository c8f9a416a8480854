// Where loops run: policy values given at the call. Results never depend on the policy.
#pragma once

#include <atomic>
#include <concepts>
#include <memory>
#include <type_traits>

#include "zo/config.hpp"
#include "zo/error.hpp"

namespace zo {

/// One thread, the caller's. Objectives are never called concurrently.
struct sequential_policy {
  static constexpr int threads() { return 1; }
};

/// OpenMP threads. Scalar and sampled objectives are called concurrently and must allow that;
/// batch, rowwise and coordinate objectives are called from one thread at a time; those that take
/// the policy themselves use its threads.
///
/// All threads round as the calling one does. A child of fork() makes threads of its own for each
/// loop, because those of OpenMP are gone. A thread that is cancelled ends after the loop.
class parallel_policy {
 public:
  /// As many threads as OpenMP would use here (OMP_NUM_THREADS is respected).
  constexpr parallel_policy() = default;

  /// `threads` threads, at least 1; fewer where there is less to do, where the system does not give
  /// as many, and beyond 1,024.
  parallel_policy with_threads(int threads) const {
    detail::require(threads >= 1, "zo::par: threads must be at least 1, got ", threads);
    parallel_policy policy;
    policy.threads_ = threads;
    return policy;
  }

  /// Threads a loop under this policy uses. Throws zo::not_compiled in a build without OpenMP.
  int threads() const;

 private:
  int threads_ = -1;  // -1: ask OpenMP at the call
};

inline constexpr sequential_policy seq{};
inline constexpr parallel_policy par{};

template <class P>
concept execution_policy = detail::rule(
    requires(const P& policy) { policy.threads(); },
    "zo: the first argument says where loops run: zo::seq or zo::par") &&
    requires(const P& policy) {
  { policy.threads() } -> std::same_as<int>;
};

namespace detail {

// Served at most: beyond, threads only cost.
inline constexpr int most_threads = 1024;

// Threads that loops under a policy may have.
int threads_of(const execution_policy auto& policy) {
  const int threads = policy.threads();
  require(threads >= 1, "zo: a policy must have at least 1 thread, got ", threads);
  return threads < most_threads ? threads : most_threads;
}

// Reference to a loop body: the OpenMP loop itself is compiled once, in src/, so that a program's
// own flags can neither remove it nor give it two definitions.
class loop_body {
 public:
  template <class Body>
  requires(!std::same_as<std::remove_cvref_t<Body>, loop_body>)
      loop_body(Body& body)  // NOLINT: a parameter type, meant to convert
      : object_(std::addressof(body)), call_([](void* object, index_t item, int worker) {
          (*static_cast<Body*>(object))(item, worker);
        }) {}

  void operator()(index_t item, int worker) const { call_(object_, item, worker); }

 private:
  void* object_;
  void (*call_)(void*, index_t, int);
};

// Runs body(item, worker) for item = 0 … items-1, worker < threads. Items must be independent.
// When bodies throw, every item before the first failing one has run, later ones may be skipped,
// and the exception of the lowest item is rethrown here, whatever the number of threads. All
// threads round as this one does. A request to cancel this thread acts after the loop.
void run_loop(int threads, index_t items, loop_body body);

template <class Body>
void parallel_for(const execution_policy auto& policy, index_t items, Body&& body) {
  run_loop(threads_of(policy), items, loop_body(body));
}

// Runs body(begin, end) over ranges that cover 0 … items-1, each of at least `least` items, so that
// handing a range to a thread costs little beside it; too few items for two ranges stay here.
template <class Body>
void parallel_ranges(const execution_policy auto& policy, index_t items, index_t least,
                     Body&& body) {
  constexpr index_t per_thread = 16;  // ranges, so that a slow thread holds nobody up
  const index_t threads = threads_of(policy);
  if (threads == 1) {
    body(index_t{0}, items);
    return;
  }
  const index_t most = items / (least > 0 ? least : 1);
  const index_t wanted = threads * per_thread;
  const index_t ranges = most < 1 ? 1 : most < wanted ? most : wanted;
  parallel_for(policy, ranges, [&](index_t range, int) {
    body(items * range / ranges, items * (range + 1) / ranges);
  });
}

// Notes who works with a workspace. Copies are free: they are other memory.
class in_use {
 public:
  in_use() = default;
  in_use(const in_use&) {}
  in_use& operator=(const in_use&) { return *this; }

  // Takes a workspace for one estimate; throws while another has it: an objective that estimates
  // with the workspace that asks it, or a second thread.
  class hold {
   public:
    hold(const char* who, in_use& use) : use_(use) {
      require(!use.taken_.test_and_set(), who,
              ": another estimate is using this workspace; give each estimate that runs at the "
              "same time, or inside an objective, a workspace of its own");
    }
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    ~hold() { use_.taken_.clear(); }

   private:
    in_use& use_;
  };

 private:
  std::atomic_flag taken_;
};

}  // namespace detail
}  // namespace zo
