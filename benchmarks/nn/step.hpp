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
  std::function<zo::index(const stratum&)> probe;
};

/// Seconds of a whole step: those of prepare, and for each tensor its active coordinates times the
/// mean time of a probe. Both sides take turns tensor by tensor, and the whole is repeated.
comparison compare_steps(timing clock, const effort& how, const std::vector<stratum>& step,
                         const step_side& ours, const step_side& theirs);

}  // namespace bench
