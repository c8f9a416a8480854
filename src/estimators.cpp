// The estimators that have a name, and whole runs, on the machine of the host: a program pays for
// its objective alone, and for an estimator of its own.
#include <algorithm>
#include <cstdint>
#include <thread>

#include "zo/cge.hpp"
#include "zo/rge.hpp"
#include "zo/run.hpp"

namespace zo {

void failure_policy::check() const {
  constexpr const char* who = "zo::failure_options";
  detail::require(options_.retries >= 0, who, ": retries must be at least 0, got ",
                  options_.retries);
  detail::require(options_.wait.count() >= 0, who, ": wait must be at least 0 ms, got ",
                  options_.wait.count());
  detail::require(detail::is_finite(options_.penalty), who, ": penalty must be a number, got ",
                  options_.penalty);
  detail::require(options_.replacements >= 0 && options_.replacements <= 1000, who,
                  ": replacements must be 0 … 1000, got ", options_.replacements);
  detail::require(options_.most_failed >= 0, who, ": most_failed must be at least 0, got ",
                  options_.most_failed);
}

void failure_policy::wait_before(int tries) const {
  if (options_.wait.count() == 0) return;
  std::this_thread::sleep_for(options_.wait * (std::int64_t{1} << std::min(tries, 20)));
}

}  // namespace zo

namespace zo::detail {

template class smoothed_run<machine<float>, rge_slopes<machine<float>, gaussian, forward>>;
template class smoothed_run<machine<float>, rge_slopes<machine<float>, rademacher, forward>>;
template class smoothed_run<machine<float>, rge_slopes<machine<float>, sphere, forward>>;
template class smoothed_run<machine<float>, rge_slopes<machine<float>, gaussian, central>>;
template class smoothed_run<machine<float>, rge_slopes<machine<float>, rademacher, central>>;
template class smoothed_run<machine<float>, rge_slopes<machine<float>, sphere, central>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, gaussian, forward>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, rademacher, forward>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, sphere, forward>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, gaussian, central>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, rademacher, central>>;
template class smoothed_run<machine<double>, rge_slopes<machine<double>, sphere, central>>;
template class smoothed_run<machine<float>, cge_slopes<machine<float>, forward>>;
template class smoothed_run<machine<float>, cge_slopes<machine<float>, central>>;
template class smoothed_run<machine<double>, cge_slopes<machine<double>, forward>>;
template class smoothed_run<machine<double>, cge_slopes<machine<double>, central>>;

template class minimize_run<machine<float>>;
template class minimize_run<machine<double>>;

}  // namespace zo::detail
