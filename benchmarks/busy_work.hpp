// Work of a chosen duration: a chain of dependent operations, so that its time depends on nothing
// else.
#pragma once

#include <algorithm>
#include <span>

#include "measure.hpp"

namespace bench {

class busy_work {
 public:
  /// A chain of that many links.
  explicit busy_work(long length) : length_(length) {}

  /// A chain that takes `seconds` on this machine when nothing disturbs it.
  static busy_work lasting(double seconds) {
    constexpr long trial = 1 << 20;
    volatile double value = 1;  // unknown to the compiler, so that the work stays where it is timed
    double fastest = 1;
    const stopwatch clock = stopwatch_of(timing::thread);
    for (int repetition = 0; repetition < 5; ++repetition) {
      fastest = std::min(fastest, clock([&] { value = chain(value, trial); }));
    }
    return busy_work(std::max(1L, static_cast<long>(seconds / fastest * double{trial})));
  }

  long length() const { return length_; }

  double operator()(std::span<const float> x) const {
    return chain(static_cast<double>(x[0]) + static_cast<double>(x[x.size() - 1]), length_);
  }

 private:
  static double chain(double value, long length) {
    for (long link = 0; link < length; ++link) value = value * 0.999 + 1e-3;
    return value;
  }

  long length_ = 1;
};

}  // namespace bench
