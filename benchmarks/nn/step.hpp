// One DeepZero step, timed on a sample of its coordinates and extrapolated to all of them.
#pragma once

#include <functional>
#include <vector>

#include "measure.hpp"
#include "workload.hpp"

namespace bench {

/// A way of making the step: the pass it begins with, and probes of the first sampled coordinates
/// of a stratum; `probe` returns how many it made.
struct step_side {
  std::function<void()> prepare;
  std::function<zo::index_t(const stratum&)> probe;
};

/// Seconds of a whole step, one row a side, one column a repetition.
struct step_times {
  std::vector<std::vector<double>> seconds;
  int disturbed = 0;  // repetitions in which a thread waited for a processor (wall time only)

  comparison between(std::size_t ours, std::size_t theirs) const;
};

/// A step takes the time of prepare and, for each tensor, its active coordinates times the mean
/// time of a probe. The sides take turns tensor by tensor, and the whole is repeated.
step_times time_steps(timing clock, const effort& how, const std::vector<stratum>& step,
                      const std::vector<step_side>& sides);

}  // namespace bench
