// Whole runs whose questions are answered by workers that wait for nobody.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <ranges>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/ask.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/estimator.hpp"
#include "zo/execution.hpp"
#include "zo/minimize.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"

namespace zo {

struct async_options {
  int workers = 1;      ///< threads that call f, at the same time
  index_t answers = 0;  ///< a step is made with the first so many of an estimate; 0: with all
};

namespace detail {

// Hands the questions of a run to threads.
template <class T, class F>
class worker_pool {
 public:
  worker_pool(ask_and_tell<T>& run, F& f, const failure_policy& failures, index_t answers)
      : run_(run), f_(f), failures_(failures), answers_(answers) {}

  void run(int workers) {
    std::vector<std::thread> threads;
    try {
      while (static_cast<int>(threads.size()) < workers) threads.emplace_back([this] { work(); });
    } catch (...) {
      stop(std::current_exception());
    }
    for (std::thread& one : threads) one.join();
    if (thrown_ != nullptr) std::rethrow_exception(thrown_);
  }

 private:
  void work() {
    try {
      for (;;) {
        const std::uint64_t seen = news_so_far();
        if (stopped()) return;
        const auto mine = run_.ask(1);
        if (mine) {
          answer(mine[0]);
        } else if (run_.over()) {
          return;
        } else {
          std::unique_lock lock(mutex_);
          news_.wait(lock, [&] { return news_count_ != seen || thrown_ != nullptr; });
        }
      }
    } catch (...) {
      stop(std::current_exception());
    }
  }

  void answer(const question<T>& asked) {
    for (int tries = 0;; ++tries) {
      double loss = failed_query;
      std::string why;
      std::exception_ptr thrown;
      try {
        if constexpr (sampled_objective<F, T>) {
          loss = static_cast<double>(f_(asked.point, asked.sample));
        } else {
          loss = static_cast<double>(f_(asked.point));
        }
      } catch (const interrupted&) {
        throw;
      } catch (const std::exception& error) {
        why = error.what();
        thrown = std::current_exception();
      }
      if (!is_finite(loss) && run_.retry(asked.id)) {
        failures_.wait_before(tries);
        continue;
      }
      if (thrown != nullptr && failures_ == on_failure::stop) std::rethrow_exception(thrown);
      run_.offer(asked.id, loss, why);
      break;
    }
    if (answers_ > 0) run_.close_after(answers_);
    tell_the_others();
  }

  std::uint64_t news_so_far() {
    const std::lock_guard lock(mutex_);
    return news_count_;
  }
  bool stopped() {
    const std::lock_guard lock(mutex_);
    return thrown_ != nullptr;
  }
  void tell_the_others() {
    const std::lock_guard lock(mutex_);
    ++news_count_;
    news_.notify_all();
  }
  void stop(std::exception_ptr why) {
    const std::lock_guard lock(mutex_);
    if (thrown_ == nullptr) thrown_ = std::move(why);
    news_.notify_all();
  }

  ask_and_tell<T>& run_;
  F& f_;
  failure_policy failures_;
  index_t answers_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::uint64_t news_count_ = 0;
  std::exception_ptr thrown_;
};

}  // namespace detail

/// zo::minimize, with f called by `workers` threads of which each takes the next question as soon
/// as it has answered one: for answers that take long, and not the same time. With all answers the
/// run has the bits of zo::minimize, and workers wait at the end of each estimate for the last one.
///
/// With the first `answers` of an estimate's questions (f(x) always among them under forward
/// differences) nobody waits: the step is made, and those that are still being answered are left
/// out, as dropped ones are. They are queries, and are counted. Which ones they are depends on
/// time, and so do the bits; the mean of the estimate is as it was if being late has nothing to do
/// with the direction. Queries: as zo::minimize, at most max_queries. Memory: that of zo::ask, and
/// a point a worker; an updater that is handed in is copied. Throws what f throws
/// (on_failure::stop), with x at the last step, after all calls have ended: zo::time_limit leaves
/// those behind that hang.
template <class F, contiguous_vector X, class How, class Optimizer>
requires detail::writable<X> && estimator_for<How, F, scalar_of<X>> &&
    detail::optimizer_for<Optimizer, scalar_of<X>> &&
    (scalar_objective<F, scalar_of<X>> || sampled_objective<F, scalar_of<X>>)minimize_result
    minimize_async(F&& f, X&& x, const How& how, Optimizer&& optimizer,
                   const minimize_options& options, const async_options& async) {
  using T = scalar_of<X>;
  constexpr const char* who = "zo::minimize_async";
  detail::require(async.workers >= 1 && async.workers <= detail::most_threads, who,
                  ": workers must be 1 … ", detail::most_threads, ", got ", async.workers);
  detail::require(async.answers >= 0, who, ": answers must be at least 0, got ", async.answers);
  const failure_policy failures = detail::failures_of(how);
  const index_t asked = how.queries(static_cast<index_t>(std::ranges::size(x)));
  detail::require(async.answers <= asked, who, ": an estimate has ", asked,
                  " questions, fewer than the ", async.answers,
                  " answers that a step is made with");
  ask_and_tell<T> run(x, how, std::forward<Optimizer>(optimizer), options);
  detail::worker_pool<T, std::remove_reference_t<F>> pool(run, f, failures, async.answers);
  const auto copy_back = [&] { std::ranges::copy(run.x(), std::ranges::data(x)); };
  try {
    pool.run(async.workers);
  } catch (...) {
    copy_back();
    throw;
  }
  copy_back();
  return run.result();
}

}  // namespace zo
