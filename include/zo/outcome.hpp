// What one estimate is told, and what it reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/team.hpp"

namespace zo {

/// Names the data an objective should use (a minibatch, a noise seed). Every query of one estimate
/// gets the same sample, so that its noise cancels in the differences.
using sample_id = std::uint64_t;

/// What to do with a failed query: one that answers NaN or an infinity, or throws. Answers whose
/// slope overflows make no slope either.
enum class on_failure {
  stop,  ///< the estimate fails (`ok` is false, the gradient is zero); exceptions reach the caller
  drop,  ///< its direction or coordinate is left out, the mean is over the others; exceptions
         ///< derived from std::exception count as failed queries. Without f(x), forward differences
         ///< make no estimate; a run then goes on with its next step (minimize_options)
  replace,   ///< as drop, but a failed direction of zo::rge is replaced by a further one
  penalise,  ///< its answer is failure_options::penalty; exceptions as for drop
};

/// What to do with a failed query, in full.
struct failure_options {
  on_failure then = on_failure::stop;  ///< of a query that fails in the end
  /// A point that fails is asked again, so many times; each counts as a query. zo::ask hands it out
  /// again. Where less is left than all would take, which ones are asked depends on threads and
  /// processes. Differences of coordinates are not asked again.
  int retries = 0;
  std::chrono::milliseconds wait{0};  ///< before the first of them; doubled before each further
                                      ///< one; zo::ask does not wait
  double penalty = 0;        ///< answer of a failed query (penalise); above those of f
  index_t replacements = 1;  ///< further directions of an estimate, at most q times as many
  /// A run ends where more queries have failed in the end (status::too_many_failed).
  index_t most_failed = std::numeric_limits<index_t>::max();
};

/// failure_options, or what is done in the end alone: .failures = zo::on_failure::drop.
class failure_policy {
 public:
  constexpr failure_policy(on_failure then = on_failure::stop) noexcept  // NOLINT: either is one
      : options_{.then = then} {}
  constexpr failure_policy(const failure_options& options) noexcept
      : options_(options) {}  // NOLINT

  constexpr operator on_failure() const {
    return options_.then;
  }  // NOLINT: what most of zo asks for
  const failure_options& options() const { return options_; }
  /// It is no more than to stop or to drop.
  bool is_plain() const {
    return options_.retries == 0 &&
           (options_.then == on_failure::stop || options_.then == on_failure::drop);
  }
  /// Throws std::invalid_argument for options that are none; every estimate does.
  void check() const;
  /// Waits as long as is wanted before a point is asked again, `tries` times before.
  void wait_before(int tries) const;
  void describe(detail::fingerprint& print) const {
    print.add(options_.then).add(options_.retries).add(options_.penalty);
    print.add(options_.replacements).add(options_.most_failed);
  }

 private:
  failure_options options_;
};

/// An end that is no answer: an objective that throws it ends the call whatever the failure policy
/// is. For interrupts, and for errors of the program itself.
// Visible, so that a program of hidden symbols knows it when a shared library throws it.
struct [[gnu::visibility("default")]] interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One estimate's place in a run: everything random follows from seed and step.
struct estimate_options {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;                   ///< below 2^56
  std::optional<sample_id> sample{};        ///< handed to sampled objectives; unset: the step
  index_t chunk_bytes = index_t{64} << 20;  ///< candidates in memory at once for batch objectives
  /// f at x (at each row of it), where it is known: forward differences do not ask it again.
  /// Numbers of host memory, read before the call returns.
  std::span<const double> known_values{};
  /// Queries that retries and replacements may take beyond those that the estimator states.
  index_t spare_queries = std::numeric_limits<index_t>::max();
};

/// Why an estimate is none.
enum class flaw {
  none,
  query_failed,    ///< a query failed (on_failure::stop), or too many did (drop)
  smoothing_lost,  ///< mu is not far enough above the distance of x to its next number
  out_of_range,    ///< a number of x, a slope or the gradient is not finite in the scalar type
};

inline constexpr std::string_view to_string(flaw why) {
  switch (why) {
    case flaw::none:
      return "none";
    case flaw::query_failed:
      return "a query failed";
    case flaw::smoothing_lost:
      return "smoothing is lost in the rounding of x: use a larger one, double, or zo::cge";
    case flaw::out_of_range:
      return "a number is beyond the scalar type";
  }
  return "unknown";
}

/// The first failed query of an estimate or a run. Of several processes only the one that asked it
/// knows the text of an exception.
struct query_failure {
  std::uint64_t step = 0;     ///< of the estimate
  index_t row = 0;            ///< of the point (zo::boundary)
  std::string why;            ///< the exception's text, or what was answered
  std::vector<double> point;  ///< where; empty beyond 4,096 coordinates
};

struct smoothing_choice;  // zo/smoothing.hpp

/// What an estimate reports. Queries are those really made.
struct estimate_result {
  double value = 0;       ///< f(x); under central differences the mean of the answers
  index_t queries = 0;    ///< evaluations of the objective
  index_t failed = 0;     ///< those among them that failed
  bool ok = true;         ///< false: the gradient is all zeros and must not be used
  flaw why = flaw::none;  ///< of an estimate that is not ok
  std::shared_ptr<const query_failure>
      failure{};  ///< the first failed query; null: none failed here
  std::shared_ptr<const smoothing_choice> automatic{};  ///< mu of zo::automatic; null without it
};

namespace detail {

inline constexpr index_t most_reported = 4096;  // coordinates of a failed point

ZO_HD constexpr flaw flaw_of(bool lost, bool beyond, index_t failed) {
  if (beyond) return flaw::out_of_range;
  if (lost) return flaw::smoothing_lost;
  return failed > 0 ? flaw::query_failed : flaw::out_of_range;
}

inline void check_options(const char* who, const estimate_options& options) {
  require(options.step < (std::uint64_t{1} << 56), who, ": step must be below 2^56, got ",
          options.step);
  require(options.chunk_bytes >= 1, who, ": chunk_bytes must be at least 1, got ",
          options.chunk_bytes);
}
inline void check_plain(const char* who, const failure_policy& failures) {
  require(failures.is_plain(), who,
          ": here failures are stopped at or dropped: use zo::on_failure::stop or drop");
}
// Whether an estimate goes on without an answer.
constexpr bool goes_on(on_failure failures) { return failures != on_failure::stop; }

inline void check_known_values(const char* who, const estimate_options& options, index_t rows) {
  const auto known = static_cast<index_t>(options.known_values.size());
  require(known == 0 || known == rows, who, ": known_values must be empty or have ", rows,
          " numbers, one a row, got ", known);
}

}  // namespace detail
}  // namespace zo
