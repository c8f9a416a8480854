// Answers that are waited for so long and no longer.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// A query that was not answered in time: a failed one (on_failure).
struct [[gnu::visibility("default")]] late_answer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

// A thread that answers one call after another, and is left behind with one that takes too long.
class call_thread {
 public:
  // `late`: how many are left behind with a call.
  explicit call_thread(std::shared_ptr<std::atomic<int>> late)
      : shared_(std::make_shared<state>(std::move(late))),
        thread_([mine = shared_] { work(*mine); }) {}
  call_thread(const call_thread&) = delete;
  call_thread& operator=(const call_thread&) = delete;
  ~call_thread() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->ends = true;
    }
    shared_->news.notify_all();
    thread_.join();
  }

  // False where it is late; the thread is on its own then.
  bool answer(std::function<double()> call, std::chrono::nanoseconds limit, double& value) {
    std::unique_lock lock(shared_->mutex);
    shared_->call = std::move(call);
    shared_->news.notify_all();
    if (!shared_->news.wait_for(lock, limit, [this] { return shared_->answered; })) {
      shared_->ends = true;
      ++*shared_->late;
      lock.unlock();
      thread_.detach();
      return false;
    }
    shared_->answered = false;
    const std::exception_ptr thrown = std::exchange(shared_->thrown, nullptr);
    if (thrown != nullptr) std::rethrow_exception(thrown);
    value = shared_->value;
    return true;
  }

 private:
  struct state {
    explicit state(std::shared_ptr<std::atomic<int>> of_all) : late(std::move(of_all)) {}

    std::shared_ptr<std::atomic<int>> late;
    std::mutex mutex;
    std::condition_variable news;
    std::function<double()> call;
    double value = 0;
    std::exception_ptr thrown;
    bool answered = false, ends = false;
  };

  static void work(state& mine) {
    std::unique_lock lock(mine.mutex);
    for (;;) {
      mine.news.wait(lock, [&] { return mine.call != nullptr || mine.ends; });
      if (mine.call == nullptr) return;
      std::function<double()> call = std::exchange(mine.call, nullptr);
      lock.unlock();
      double value = 0;
      std::exception_ptr thrown;
      try {
        value = call();
      } catch (...) {
        thrown = std::current_exception();
      }
      call = nullptr;  // and with it the objective, if nobody else has it any more
      lock.lock();
      mine.value = value;
      mine.thrown = std::move(thrown);
      mine.answered = true;
      mine.news.notify_all();
      if (mine.ends) {
        --*mine.late;
        return;
      }
    }
  }

  std::shared_ptr<state> shared_;
  std::thread thread_;
};

}  // namespace detail

/// `f`, of which an answer that takes longer than `limit` is a failed query: zo::late_answer is
/// thrown. An objective f(x), f(x, sample) or f(x, row), as f is one:
///   zo::minimize(zo::par, zo::time_limit(f, std::chrono::seconds(5)), x,
///                zo::rge({.failures = zo::on_failure::drop}), …)
/// Nothing can end a call from outside, so the thread of a late one is left behind, with a copy of
/// its point, and ends when f does; another takes its place. So f must allow calls at the same
/// time, under zo::seq too, and must not use what may be gone by then. Where `most_late` calls are
/// still running zo::interrupted ends the run. Cost: two changes of threads a query. For programs
/// that hang take zo::process, which ends them.
template <class F>
class time_limit {
 public:
  time_limit(F f, std::chrono::nanoseconds limit, int most_late = 64)
      : shared_(std::make_shared<state>(std::move(f), limit, most_late)) {
    detail::require(limit.count() > 0, "zo::time_limit: the limit must be above 0, got ",
                    seconds(limit), " s");
    detail::require(most_late >= 1, "zo::time_limit: most_late must be at least 1, got ",
                    most_late);
  }

  template <scalar T, class... Arguments>
  requires std::invocable<F&, std::span<const T>, Arguments...>
  double operator()(std::span<const T> x, Arguments... arguments) const {
    // The call owns all it uses: it may outlive everybody else.
    auto call = [f = shared_->f, point = std::vector<T>(x.begin(), x.end()), arguments...] {
      return static_cast<double>((*f)(std::span<const T>(point), arguments...));
    };
    if (*shared_->late >= shared_->most_late) {
      throw interrupted("zo::time_limit: " + std::to_string(shared_->most_late) +
                        " calls that were late are still running: f hangs too often; zo::process "
                        "ends programs that do");
    }
    auto thread = shared_->take();
    double value = 0;
    bool in_time = false;
    try {
      in_time = thread->answer(std::move(call), shared_->limit, value);
    } catch (...) {
      shared_->give_back(std::move(thread));
      throw;
    }
    if (!in_time) {
      throw late_answer("zo::time_limit: no answer within " +
                        detail::number_text(seconds(shared_->limit)) + " s");
    }
    shared_->give_back(std::move(thread));
    return value;
  }
  double operator()(
      std::span<const float> x) const requires std::invocable<F&, std::span<const float>> {
    return operator()<float>(x);
  }
  double operator()(
      std::span<const double> x) const requires std::invocable<F&, std::span<const double>> {
    return operator()<double>(x);
  }

 private:
  static double seconds(std::chrono::nanoseconds time) {
    return static_cast<double>(time.count()) * 1e-9;
  }

  // Of all copies.
  struct state {
    state(F of, std::chrono::nanoseconds most, int calls)
        : f(std::make_shared<F>(std::move(of))), limit(most), most_late(calls) {}

    std::unique_ptr<detail::call_thread> take() {
      const std::lock_guard lock(mutex);
      if (idle.empty()) return std::make_unique<detail::call_thread>(late);
      auto one = std::move(idle.back());
      idle.pop_back();
      return one;
    }
    void give_back(std::unique_ptr<detail::call_thread> one) {
      const std::lock_guard lock(mutex);
      idle.push_back(std::move(one));
    }

    std::shared_ptr<F> f;
    std::chrono::nanoseconds limit;
    int most_late;
    std::shared_ptr<std::atomic<int>> late = std::make_shared<std::atomic<int>>(0);
    std::mutex mutex;
    std::vector<std::unique_ptr<detail::call_thread>> idle;
  };

  std::shared_ptr<state> shared_;
};

}  // namespace zo
