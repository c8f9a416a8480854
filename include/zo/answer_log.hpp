// The answers of a run, kept by someone else while it asks: what zo::journal is to a run, and what
// a log of your own derives from.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "zo/config.hpp"

namespace zo {

/// The run that a log is of: what must be the same when it goes on. Budget, target and policy may
/// be others.
struct logged_run {
  int scalar_bytes = 0;  ///< 4: float, 8: double
  std::uint64_t seed = 0;
  std::uint64_t first_step = 0;
  std::uint64_t estimator = 0;    ///< a fingerprint of its type and options
  std::span<const double> start;  ///< x
};

/// A question, as a log knows it. Questions of a run are numbered as they are posed.
struct logged_question {
  std::uint64_t id = 0;
  std::uint64_t step = 0;         ///< of the estimate that asks
  std::span<const double> point;  ///< floats are widened
};

struct logged_answer {
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< not finite: the query failed
  std::string failure{};                                   ///< why
  index_t queries = 1;                                     ///< made for it, with those of retries
  double seconds = std::numeric_limits<double>::quiet_NaN();  ///< it took; NaN: nobody knows
};

/// A round that was closed before all of it was answered (zo::ask::close).
struct logged_close {
  std::uint64_t id = 0;               ///< of the first question of the round
  std::uint64_t step = 0;             ///< of the estimate
  std::vector<std::uint64_t> late{};  ///< asked and not answered; others were never asked
  std::vector<index_t> queries{};     ///< made for each of them, with those of retries
};

/// Where a run keeps its answers (minimize_options::log), and from where it takes those that are
/// known instead of asking. knows and record are called from several threads at the same time; what
/// they throw ends the run.
class answer_log {
 public:
  answer_log() = default;
  answer_log(const answer_log&) = delete;
  answer_log& operator=(const answer_log&) = delete;
  virtual ~answer_log() = default;

  /// A run begins, perhaps again. Throws std::invalid_argument where the log is of another one.
  virtual void begin(const logged_run& run) = 0;
  virtual bool knows(std::uint64_t id) const = 0;
  /// The answer to a question that it knows. Throws std::invalid_argument where the point is
  /// another one.
  virtual logged_answer recall(const logged_question& question) const = 0;
  virtual void record(const logged_question& question, const logged_answer& answer) = 0;
  virtual std::optional<logged_close> closed(std::uint64_t first_id) const = 0;
  virtual void record(const logged_close& close) = 0;
  /// Answers recorded since begin, not those that were known.
  virtual index_t recorded() const = 0;
};

}  // namespace zo
