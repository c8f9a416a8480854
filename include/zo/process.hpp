// Black boxes that are other programs: zo::process starts them, asks them, and ends them. Optional:
// link zo::process; no other header of zo includes it.
//
// Numbers travel as text that keeps every bit, so that a program that computes the same function
// gives the same bits as a call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// A question that a program did not answer, or a program that cannot be started: a sentence with
/// the command, what happened and what it last wrote to stderr.
struct [[gnu::visibility("default")]] process_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How a program is asked.
enum class process_manner {
  kept,  ///< started once: a line of numbers in, a line with the answer out, again and again
  once,  ///< started for each question; the last line that it writes is the answer
};

/// What is written and read.
enum class process_format {
  numbers,  ///< a line of numbers, after the sample or row if there is one; a line of numbers
  /// {"x":[1,2],"sample":7} (or "row"), each where there is one; {"answer": 3}, {"answer": [3, 4]},
  /// or
  /// {"failure": "why"} of a program that goes on. "nan", "inf" and "-inf" are numbers too.
  json,
};

struct process_options {
  process_manner manner = process_manner::kept;
  process_format format = process_format::numbers;  ///< json: where zo was built with nlohmann-json
  int workers = 1;  ///< programs that run at the same time, at least 1
  /// Longest wait for one answer, above 0. The start of a program that is asked at once counts too.
  std::chrono::milliseconds timeout = std::chrono::minutes(1);
  std::vector<std::string> environment{};  ///< "NAME=value", added to those of this program
  std::string folder{};  ///< where the programs work, and where "./name" is; empty: here
  index_t longest_answer = index_t{1} << 20;  ///< bytes of a line, at least 1
  int stderr_lines = 10;                      ///< quoted in a sentence at most, at least 0
  /// Called while an answer is waited for, every 50 ms or more often, from the threads that wait.
  /// What it throws ends the wait and the program that was asked: zo::interrupted ends a run.
  std::function<void()> while_waiting{};
};

/// A command for /bin/sh, as zo::process takes it.
inline std::vector<std::string> shell(std::string line) {
  return {"/bin/sh", "-c", std::move(line)};
}

/// Programs of one command as an objective. `f(x)` writes the numbers of x, separated by blanks,
/// and reads one number. `f.sampled()`, `f.rows()`, `f.batch()` and `f.vector()` are the other
/// kinds of black boxes (zo/objective.hpp, zo/vector_map.hpp); they refer to f and must not outlive
/// it. A sample or row is written before the numbers of x.
///
/// Any number of threads may ask; each waits for a program that is free, so that
/// zo::par.with_threads(workers) keeps all of them busy. NaN and infinities are answers. A failed
/// question throws process_error; the program is then ended, with all that it has started, and
/// another is started for the next question. Programs get process groups of their own, and end with
/// the zo::process or with this program, even when it is killed: a small /bin/sh waits for that.
///
/// Memory: 2 longest_answer a worker at most. Cost of a question: four system calls more than a
/// pipe needs (kept), or the start of a program (once).
class [[gnu::visibility("default")]] process {
 public:
  /// The command: a program, found as execvp does, and its arguments; no shell reads them. Under
  /// process_manner::once "{x}" in an argument stands for the numbers (alone, it becomes an
  /// argument a number), "{file}" for the name of a file with a number a line; without either they
  /// come on stdin, which ends after them. Kept programs are all started here. Throws
  /// std::invalid_argument for bad options, process_error where the command cannot be started.
  explicit process(std::vector<std::string> command, const process_options& options = {});
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  /// Closes the stdin of kept programs, and kills what then still runs after a fifth of a second.
  ~process();

  double operator()(std::span<const double> x) const;
  double operator()(std::span<const float> x) const;

  class sampled_view;
  class rows_view;
  class batch_view;
  class sampled_batch_view;
  class vector_view;
  sampled_view sampled() const;
  rows_view rows() const;
  batch_view batch() const;
  vector_view vector() const;

  /// The sentence of the last question that failed; empty: none did. From any thread.
  std::string last_failure() const;

 private:
  struct pool;
  struct access;
  std::unique_ptr<pool> pool_;
};

/// f(x, sample): what is random follows from the sample.
class [[gnu::visibility("default")]] process::sampled_view {
 public:
  explicit sampled_view(const process& of) : of_(&of) {}
  sampled_batch_view batch() const;
  double operator()(std::span<const double> x, sample_id sample) const;
  double operator()(std::span<const float> x, sample_id sample) const;

 private:
  const process* of_;
};

/// f(point, row), for zo::boundary.
class [[gnu::visibility("default")]] process::rows_view {
 public:
  explicit rows_view(const process& of) : of_(&of) {}
  double operator()(std::span<const double> point, index_t row) const;
  double operator()(std::span<const float> point, index_t row) const;

 private:
  const process* of_;
};

/// f(points, losses): all programs are asked by the one thread that calls, and a kept one has its
/// next question before it is done with the last. A failed question leaves its loss as it was, NaN,
/// and last_failure() says why; where all fail the first is thrown.
class [[gnu::visibility("default")]] process::batch_view {
 public:
  explicit batch_view(const process& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<double> losses) const;
  void operator()(points<float> candidates, std::span<double> losses) const;

 private:
  const process* of_;
};

/// f(points, losses, sample): the same, of f.sampled().batch().
class [[gnu::visibility("default")]] process::sampled_batch_view {
 public:
  explicit sampled_batch_view(const process& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<double> losses, sample_id sample) const;
  void operator()(points<float> candidates, std::span<double> losses, sample_id sample) const;

 private:
  const process* of_;
};

/// f(x, y): as many numbers in a line as y has, for zo::pullback and zo::jacobian.
class [[gnu::visibility("default")]] process::vector_view {
 public:
  explicit vector_view(const process& of) : of_(&of) {}
  void operator()(std::span<const double> x, std::span<double> y) const;
  void operator()(std::span<const float> x, std::span<float> y) const;

 private:
  const process* of_;
};

}  // namespace zo
