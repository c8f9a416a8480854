// When requests may start: rates, and pauses before a repetition.
#pragma once

#include <chrono>
#include <mutex>
#include <random>

#include "zo/service.hpp"

namespace zo::detail::services {

using steady = std::chrono::steady_clock;

class pace {
 public:
  explicit pace(const service_options& options);

  /// When a request of so many points may start. It takes its place in the queue.
  steady::time_point reserve(index_t points);
  /// Nobody starts before.
  void postpone(steady::time_point until);
  steady::time_point postponed() const;
  /// Before the repetition number 1, 2, …
  std::chrono::nanoseconds pause(int repetition);

 private:
  const std::chrono::nanoseconds first_pause_, longest_pause_;
  const double seconds_a_request_, seconds_a_point_;
  mutable std::mutex mutex_;
  steady::time_point next_{}, postponed_{};
  std::minstd_rand chance_{std::random_device()()};  // clients that were sent away come back apart
};

}  // namespace zo::detail::services
