// The one parallel loop of the library, and the text of numbers in messages.
#include "zo/execution.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <charconv>
#include <exception>
#include <latch>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace zo {

int parallel_policy::threads() const {
#if defined(_OPENMP)
  return threads_ == -1 ? omp_get_max_threads() : threads_;
#else
  throw not_compiled("OpenMP", "use zo::seq, or configure with a compiler that has OpenMP");
#endif
}

namespace detail {

namespace {

std::string text_of(double value, std::chars_format format, int digits) {
  if (value != value) return "nan";  // its sign means nothing
  std::array<char, 512> text{};      // the largest double has 309 digits before the point
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value, format, digits);
  return {text.data(), written.ptr};
}

}  // namespace

std::string number_text(double value, int digits) {
  return text_of(value, std::chars_format::general, digits);
}

std::string fixed_text(double value, int digits) {
  return text_of(value, std::chars_format::fixed, digits);
}

namespace {

// The failed item of lowest number and its exception.
class first_failure {
 public:
  bool allows(index_t item) const { return item < lowest_.load(std::memory_order_relaxed); }
  void record(index_t item) noexcept {
    const std::lock_guard lock(mutex_);
    if (item < lowest_.load()) {
      lowest_ = item;
      error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<index_t> lowest_{std::numeric_limits<index_t>::max()};
  std::exception_ptr error_;
  std::mutex mutex_;
};

// No thread can be cancelled out of a parallel loop: a request acts after it.
class uncancelled {
 public:
  uncancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  uncancelled(const uncancelled&) = delete;
  uncancelled& operator=(const uncancelled&) = delete;
  ~uncancelled() { pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = 0;
};

// Rounding mode and treatment of denormals as another thread has them.
class borrowed_arithmetic {
 public:
  explicit borrowed_arithmetic(const std::fenv_t& of) {
    std::fegetenv(&own_);
    std::fesetenv(&of);
  }
  borrowed_arithmetic(const borrowed_arithmetic&) = delete;
  borrowed_arithmetic& operator=(const borrowed_arithmetic&) = delete;
  ~borrowed_arithmetic() { std::fesetenv(&own_); }

 private:
  std::fenv_t own_{};
};

// Items in ascending order, whoever takes them: those before a failing one are all taken, and a
// thread that has thrown takes no more. (The schedules of OpenMP promise no order.)
class shared_items {
 public:
  shared_items(index_t items, loop_body body) : items_(items), body_(body) {
    std::fegetenv(&callers_);
  }

  // Worker 0 is the caller.
  void work(int worker) noexcept {
    if (worker == 0) {
      take(worker);
    } else {
      const uncancelled whole;
      const borrowed_arithmetic here(callers_);
      take(worker);
    }
  }

  void rethrow() const { failure_.rethrow(); }

 private:
  void take(int worker) noexcept {
    for (;;) {
      const index_t item = next_.fetch_add(1, std::memory_order_relaxed);
      if (item >= items_ || !failure_.allows(item)) return;
      try {
        body_(item, worker);
      } catch (...) {
        failure_.record(item);
      }
    }
  }

  index_t items_;
  loop_body body_;
  std::fenv_t callers_{};
  std::atomic<index_t> next_{0};
  first_failure failure_;
};

// Runs work(1) … work(threads - 1) in new threads, or in as many as the system gives, while
// meanwhile() runs here. Returns how many were given, this one included.
template <class Work, class Meanwhile>
int in_new_threads(int threads, const Work& work, const Meanwhile& meanwhile) {
  std::vector<std::thread> made;
  try {
    made.reserve(static_cast<std::size_t>(threads - 1));
    for (int worker = 1; worker < threads; ++worker) {
      made.emplace_back([&work, worker] { work(worker); });
    }
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  meanwhile();
  for (std::thread& one : made) one.join();
  return static_cast<int>(made.size()) + 1;
}

// Whether this process came into being by fork(): the threads of the OpenMP runtime are then gone,
// and it would wait for them for ever.
std::atomic<bool> forked{false};
[[maybe_unused]] const int watches_forks =
    pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });

void run_in_new_threads(int threads, shared_items& loop) {
  thread_local bool inside = false;  // loops inside others stay in their thread, as in OpenMP
  const auto work = [&loop](int worker) {
    inside = true;
    loop.work(worker);
    inside = false;
  };
  if (inside) {
    loop.work(0);
  } else {
    in_new_threads(threads, work, [&] { work(0); });
  }
}

#if defined(_OPENMP)
// How many threads this one can have beside it, of those that are wanted: the OpenMP runtime ends
// the process where it gets fewer than it asks for. Tried once for each larger number; where the
// system refuses, half of its threads are left for others.
int available(int wanted) {
  thread_local int tried = 1, given = 1;
  if (wanted > tried) {
    std::latch end(1);
    const int made = in_new_threads(
        wanted, [&](int) { end.wait(); }, [&] { end.count_down(); });
    given = made == wanted ? wanted : (made + 1) / 2;
    tried = wanted;
  }
  return std::min(wanted, given);
}
#endif

void run_in_team(int threads, shared_items& loop) {
#if defined(_OPENMP)
  if (omp_get_active_level() >= omp_get_max_active_levels()) {  // OpenMP would have it so
    loop.work(0);
    return;
  }
  if (!forked.load(std::memory_order_relaxed)) {
    threads = available(threads);
#pragma omp parallel num_threads(threads)
    loop.work(omp_get_thread_num());
    return;
  }
#endif
  run_in_new_threads(threads, loop);
}

}  // namespace

void run_loop(int threads, index_t items, loop_body body) {
  threads = std::min(threads, most_threads);
  if (threads > items) threads = items > 1 ? static_cast<int>(items) : 1;
  if (threads <= 1) {
    for (index_t item = 0; item < items; ++item) body(item, 0);
    return;
  }
  shared_items loop(items, body);
  {
    const uncancelled whole;
    run_in_team(threads, loop);
  }
  loop.rethrow();
  pthread_testcancel();
}

}  // namespace detail
}  // namespace zo
