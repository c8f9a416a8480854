#include "measure.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace bench {
namespace {

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class side {
 public:
  side(const stopwatch& clock, const std::function<void()>& call) : clock_(clock), call_(call) {}

  // Repeats until a sample is long enough; the caches and the thread pool are warm afterwards.
  void warm_up(double sample_seconds) {
    call_();
    while (sample() * calls_ < sample_seconds && calls_ < (1 << 30)) calls_ *= 2;
  }
  // Seconds of one call.
  double sample() const {
    const auto work = [this] {
      for (int call = 0; call < calls_; ++call) call_();
    };
    return clock_(work) / calls_;
  }

 private:
  const stopwatch& clock_;
  const std::function<void()>& call_;
  int calls_ = 1;
};

double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return std::lerp(values[below], values[above], at - std::floor(at));
}

struct samples {
  std::vector<double> ours, theirs, ratio;

  void add(double our_time, double their_time) {
    ours.push_back(our_time);
    theirs.push_back(their_time);
    ratio.push_back(their_time / our_time);
  }
  int count() const { return static_cast<int>(ratio.size()); }
  comparison summary() const {
    return {quantile(ours, 0.5),   quantile(theirs, 0.5), quantile(ratio, 0.5),
            quantile(ratio, 0.25), quantile(ratio, 0.75), count()};
  }
};

// The pairs of one comparison, and those among them in which no thread waited for a processor.
class pairs {
 public:
  pairs(const stopwatch& clock, bool counts_waiting, const std::function<void()>& ours,
        const std::function<void()>& theirs)
      : counts_waiting_(counts_waiting), ours_(clock, ours), theirs_(clock, theirs) {}

  void warm_up(double sample_seconds) {
    ours_.warm_up(sample_seconds);
    theirs_.warm_up(sample_seconds);
  }

  void measure() {
    const bool we_begin = all_.count() % 2 == 0;
    const double waited = waited_so_far();
    const double start = seconds(CLOCK_MONOTONIC);
    const double first = (we_begin ? ours_ : theirs_).sample();
    const double second = (we_begin ? theirs_ : ours_).sample();
    const bool clean =
        waited_so_far() - waited <= tolerated_waiting * (seconds(CLOCK_MONOTONIC) - start);
    all_.add(we_begin ? first : second, we_begin ? second : first);
    if (clean) clean_.add(all_.ours.back(), all_.theirs.back());
  }

  // Clean pairs are given five times as long to turn up.
  bool done(const effort& how, double elapsed) const {
    if (clean_.count() >= how.most_pairs) return true;
    if (clean_.count() >= how.least_pairs) return elapsed > how.total_seconds;
    return all_.count() >= how.least_pairs && elapsed > 5 * how.total_seconds;
  }

  comparison summary(int least_pairs) const {
    const bool enough = clean_.count() >= least_pairs;
    comparison found = (enough ? clean_ : all_).summary();
    found.disturbed = all_.count() - clean_.count();
    found.left_out = enough;
    return found;
  }

 private:
  double waited_so_far() const { return counts_waiting_ ? waited_for_processor() : 0; }

  bool counts_waiting_;  // only wall time contains what others do
  side ours_, theirs_;
  samples all_, clean_;
};

comparison compare(pairs measured, const effort& how) {
  if (how.smoke) {
    measured.measure();
    return measured.summary(1);
  }
  measured.warm_up(how.sample_seconds);
  const double start = seconds(CLOCK_MONOTONIC);
  while (!measured.done(how, seconds(CLOCK_MONOTONIC) - start)) measured.measure();
  return measured.summary(how.least_pairs);
}

}  // namespace

stopwatch stopwatch_of(timing timed) {
  const clockid_t clock = timed == timing::thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  return [clock](const std::function<void()>& work) {
    const double start = seconds(clock);
    work();
    return seconds(clock) - start;
  };
}

double waited_for_processor() {
  double total = 0;
  std::error_code none;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", none)) {
    std::ifstream file(task.path() / "schedstat");
    double ran = 0, waited = 0;
    if (file >> ran >> waited) total += 1e-9 * waited;
  }
  return total;
}

comparison compare(timing timed, const effort& how, const std::function<void()>& ours,
                   const std::function<void()>& theirs) {
  const stopwatch clock = stopwatch_of(timed);
  return compare(pairs(clock, timed == timing::wall, ours, theirs), how);
}

comparison compare(const stopwatch& clock, const effort& how, const std::function<void()>& ours,
                   const std::function<void()>& theirs) {
  return compare(pairs(clock, false, ours, theirs), how);
}

comparison summary_of(std::span<const double> ours, std::span<const double> theirs) {
  samples all;
  for (std::size_t k = 0; k < ours.size(); ++k) all.add(ours[k], theirs[k]);
  return all.summary();
}

comparison compare_with(double theirs, const stopwatch& clock, const effort& how,
                        const std::function<void()>& ours) {
  side measured(clock, ours);
  samples all;
  if (!how.smoke) measured.warm_up(how.sample_seconds);
  const int least = how.smoke ? 1 : how.least_pairs;
  const double start = seconds(CLOCK_MONOTONIC);
  const auto on_time = [&] {
    return !how.smoke && seconds(CLOCK_MONOTONIC) - start <= how.total_seconds;
  };
  while (all.count() < least || (all.count() < how.most_pairs && on_time())) {
    all.add(measured.sample(), theirs);
  }
  return all.summary();
}

}  // namespace bench
