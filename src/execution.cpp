// The one parallel loop of the library, and the text of numbers in messages.
#include "zo/execution.hpp"

#include <atomic>
#include <cstdio>
#include <exception>
#include <limits>
#include <mutex>

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

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

namespace {

// The failed item of lowest number and its exception.
class first_failure {
 public:
  bool allows(index item) const { return item < lowest_.load(std::memory_order_relaxed); }
  void record(index item) noexcept {
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
  std::atomic<index> lowest_{std::numeric_limits<index>::max()};
  std::exception_ptr error_;
  std::mutex mutex_;
};

}  // namespace

void run_loop(int threads, index items, loop_body body) {
  if (threads > items) threads = items > 1 ? static_cast<int>(items) : 1;
  if (threads <= 1) {
    for (index item = 0; item < items; ++item) body(item, 0);
    return;
  }
#if defined(_OPENMP)
  first_failure failure;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (index item = 0; item < items; ++item) {
    if (!failure.allows(item)) continue;
    try {
      body(item, omp_get_thread_num());
    } catch (...) {
      failure.record(item);
    }
  }
  failure.rethrow();
#endif
}

}  // namespace detail
}  // namespace zo
