#include "service/pace.hpp"

#include <algorithm>
#include <cmath>

namespace zo::detail::services {

pace::pace(const service_options& options)
    : first_pause_(options.first_pause),
      longest_pause_(options.longest_pause),
      seconds_a_request_(options.requests_per_second ? 1 / *options.requests_per_second : 0),
      seconds_a_point_(options.points_per_second ? 1 / *options.points_per_second : 0) {}

// Each request pays for itself: the next one starts when as much time has passed as it is worth.
steady::time_point pace::reserve(index_t points) {
  const std::lock_guard lock(mutex_);
  const steady::time_point start = std::max(steady::now(), next_);
  const std::chrono::duration<double> worth(
      std::max(seconds_a_request_, seconds_a_point_ * static_cast<double>(points)));
  next_ = start + std::chrono::duration_cast<steady::duration>(worth);
  return start;
}

void pace::postpone(steady::time_point until) {
  const std::lock_guard lock(mutex_);
  postponed_ = std::max(postponed_, until);
}

steady::time_point pace::postponed() const {
  const std::lock_guard lock(mutex_);
  return postponed_;
}

std::chrono::nanoseconds pace::pause(int repetition) {
  const std::lock_guard lock(mutex_);
  const double whole =
      std::min(std::ldexp(static_cast<double>(first_pause_.count()), repetition - 1),
               static_cast<double>(longest_pause_.count()));
  const double part = std::uniform_real_distribution(0.5, 1.0)(chance_);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(part * whole));
}

}  // namespace zo::detail::services
