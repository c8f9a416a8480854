#include "step.hpp"

namespace bench {
namespace {

double seconds_of(const stopwatch& clock, const stratum& part, const step_side& side) {
  zo::index_t made = 0;
  const double took = clock([&] { made = side.probe(part); });
  return took * static_cast<double>(part.active) / static_cast<double>(made);
}

}  // namespace

comparison step_times::between(std::size_t ours, std::size_t theirs) const {
  comparison found = summary_of(seconds[ours], seconds[theirs]);
  found.disturbed = disturbed;
  return found;
}

step_times time_steps(timing timed, const effort& how, const std::vector<stratum>& step,
                      const std::vector<step_side>& sides) {
  const stopwatch clock = stopwatch_of(timed);
  const stopwatch wall = stopwatch_of(timing::wall);
  step_times found;
  found.seconds.resize(sides.size());
  const auto repetition = [&] {
    std::vector<double> sums;
    for (const step_side& side : sides) sums.push_back(clock(side.prepare));
    for (std::size_t k = 0; k < step.size(); ++k) {
      for (std::size_t turn = 0; turn < sides.size(); ++turn) {
        const std::size_t at = (k + turn) % sides.size();
        sums[at] += seconds_of(clock, step[k], sides[at]);
      }
    }
    for (std::size_t at = 0; at < sides.size(); ++at) found.seconds[at].push_back(sums[at]);
  };
  double elapsed = 0;
  const auto more = [&] {
    const int made = static_cast<int>(found.seconds.front().size());
    if (how.smoke) return made < 1;
    return made < how.least_pairs || (made < how.most_pairs && elapsed < how.total_seconds);
  };
  for (const step_side& side : sides) side.prepare();  // what is allocated at the first call
  while (more()) {
    const double waited = waited_for_processor();
    const double took = wall(repetition);
    const bool clean = waited_for_processor() - waited <= tolerated_waiting * took;
    if (timed == timing::wall && !clean) ++found.disturbed;
    elapsed += took;
  }
  return found;
}

}  // namespace bench
