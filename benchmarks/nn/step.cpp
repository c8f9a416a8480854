#include "step.hpp"

namespace bench {
namespace {

double seconds_of(const stopwatch& clock, const stratum& part, const step_side& side) {
  zo::index made = 0;
  const double took = clock([&] { made = side.probe(part); });
  return took * static_cast<double>(part.active) / static_cast<double>(made);
}

}  // namespace

comparison compare_steps(timing timed, const effort& how, const std::vector<stratum>& step,
                         const step_side& ours, const step_side& theirs) {
  const stopwatch clock = stopwatch_of(timed);
  const stopwatch wall = stopwatch_of(timing::wall);
  std::vector<double> our_times, their_times;
  double elapsed = 0;
  int disturbed = 0;
  const auto pass = [&] {
    double our_time = clock(ours.prepare), their_time = clock(theirs.prepare);
    bool we_begin = true;
    for (const stratum& part : step) {
      if (we_begin) our_time += seconds_of(clock, part, ours);
      their_time += seconds_of(clock, part, theirs);
      if (!we_begin) our_time += seconds_of(clock, part, ours);
      we_begin = !we_begin;
    }
    our_times.push_back(our_time);
    their_times.push_back(their_time);
  };
  const auto more = [&] {
    const int pairs = static_cast<int>(our_times.size());
    if (how.smoke) return pairs < 1;
    return pairs < how.least_pairs || (pairs < how.most_pairs && elapsed < how.total_seconds);
  };
  ours.prepare();  // what is allocated or chosen at the first call
  theirs.prepare();
  while (more()) {
    const double waited = waited_for_processor();
    const double took = wall(pass);
    const bool clean = waited_for_processor() - waited <= tolerated_waiting * took;
    if (timed == timing::wall && !clean) ++disturbed;
    elapsed += took;
  }
  comparison found = summary_of(our_times, their_times);
  found.disturbed = disturbed;
  return found;
}

}  // namespace bench
