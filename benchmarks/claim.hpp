// A speed claim of the docs: what is measured, against what, and the bar it must reach.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "measure.hpp"
#include "zo/direction.hpp"

namespace bench {

/// What one measurement of a claim found. `ours` and `peer` are in the claim's unit; what is not a
/// number was not measured.
struct outcome {
  double ours = 0, peer = 0;
  double ratio = 0, low = 0, high = 0;  // median of the pairs, and their quartiles
  double most = std::numeric_limits<double>::infinity();  // where the peer is a limit: the ratio
                                                          // of what reaches it
  int pairs = 0;
  std::string note;     // what a reader of the row should know
  std::string skipped;  // why nothing was measured; the bar is then not judged
  std::string failed;   // what went wrong; the claim then does not hold
};

enum class bar { at_least, at_most, above, none };  // none: for information

/// What a ratio is held against: one number, or one by the instruction set that zo uses.
struct bar_value {
  bar_value(double on_any) : avx512(on_any), avx2(on_any) {}  // NOLINT: most bars are one number
  bar_value(double on_avx512, double on_avx2) : avx512(on_avx512), avx2(on_avx2) {}

  double here() const {
    return zo::instruction_set() == std::string_view("avx512") ? avx512 : avx2;
  }
  bool depends() const { return avx512 != avx2; }

  double avx512, avx2;
};

struct claim {
  std::string name;
  std::string peer;  // the peer or the limit that `ratio` refers to
  std::string unit;
  bar kind;
  bar_value limit;
  std::function<outcome(const effort&)> measure;  // throws where a result is wrong
};

inline std::string note_of(const comparison& c) {
  if (c.disturbed == 0) return "";
  const std::string pairs = std::to_string(c.disturbed) + " pairs disturbed by other programs";
  return pairs + (c.left_out ? " left out" : "; repeat on a quiet machine");
}

/// "Times as fast as the peer": one call of each side handles `amount` of what the unit counts.
inline outcome times_as_fast(const comparison& c, double amount) {
  constexpr double nanoseconds = 1e9;
  outcome o;
  o.ours = c.ours / amount * nanoseconds;
  o.peer = c.theirs / amount * nanoseconds;
  o.ratio = c.ratio;
  o.low = c.low;
  o.high = c.high;
  o.pairs = c.pairs;
  o.note = note_of(c);
  return o;
}

/// "Time relative to the bare work": the inverse ratio.
inline outcome times_the_bare_cost(const comparison& c, double amount) {
  outcome o = times_as_fast(c, amount);
  o.ratio = 1 / c.ratio;
  o.low = 1 / c.high;
  o.high = 1 / c.low;
  return o;
}

inline outcome skip(std::string reason) {
  outcome o;
  o.skipped = std::move(reason);
  return o;
}

}  // namespace bench
