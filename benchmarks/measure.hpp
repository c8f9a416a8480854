// Two ways of doing the same thing, timed in turns: ours, theirs, theirs, ours, … The ratio of a
// claim is the median over such pairs, so that a machine that is slow for a while is slow for both.
#pragma once

#include <functional>
#include <span>

namespace bench {

/// How long to measure. `smoke` asks for one call of each side: it checks that the code runs.
struct effort {
  double sample_seconds = 5e-3;  // calls are repeated until a sample lasts about this long
  double total_seconds = 2.0;    // of one comparison
  int least_pairs = 7;
  int most_pairs = 61;
  bool smoke = false;
};

/// What the clock sees. Time of the thread leaves out what other programs do on this core; work on
/// several threads needs wall time.
enum class timing { thread, wall };

/// Seconds that `work` takes, by a clock of the caller's: that of a GPU.
using stopwatch = std::function<double(const std::function<void()>& work)>;

/// Median seconds of one call of each side; median and quartiles of theirs / ours.
struct comparison {
  double ours = 0, theirs = 0;
  double ratio = 0, low = 0, high = 0;
  int pairs = 0;
  int disturbed = 0;      // pairs in which a thread waited for a processor (wall time only)
  bool left_out = false;  // the disturbed ones are not counted; else too few others were found
};

comparison compare(timing clock, const effort& how, const std::function<void()>& ours,
                   const std::function<void()>& theirs);
comparison compare(const stopwatch& clock, const effort& how, const std::function<void()>& ours,
                   const std::function<void()>& theirs);

/// The same summary of times that the caller took in turns: seconds, pair by pair.
comparison summary_of(std::span<const double> ours, std::span<const double> theirs);

stopwatch stopwatch_of(timing clock);

/// Seconds that the threads of this process were ready to run but had no processor so far (Linux; 0
/// where the kernel does not tell).
double waited_for_processor();

/// Share of the wall time of a pair that may be spent waiting before it counts as disturbed.
inline constexpr double tolerated_waiting = 0.01;

/// Ours alone, beside a peer that was timed elsewhere: seconds of one call of it.
comparison compare_with(double theirs, const stopwatch& clock, const effort& how,
                        const std::function<void()>& ours);

/// The result of `value` must be computed.
template <class Value>
void keep(const Value& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace bench
