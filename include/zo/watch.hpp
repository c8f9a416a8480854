// A run to look at: a bar or lines, a table of its steps as CSV, and an end by Ctrl-C.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "zo/config.hpp"
#include "zo/progress.hpp"
#include "zo/run.hpp"

namespace zo {

struct watch_options {
  std::string label = "zo";  ///< at the beginning of the line
  /// How long the run is: those of minimize_options. Either gives a bar and the time left.
  std::optional<index_t> max_queries{};
  std::optional<std::uint64_t> max_steps{};  ///< not looked at where max_queries is set
  /// A line a step: step,queries,failed,value,best,seconds (the members of step_report), written
  /// at once. Empty: no file. An older file is replaced, unless `resume`.
  std::string csv{};
  /// Go on with the file of a run that goes on: steps that it has are not written again, a line
  /// that was not finished is, and queries, failures and seconds count on from it.
  bool resume = false;
  /// SIGINT, SIGTERM or SIGHUP ends the run after the step (status::callback_stopped): a watch is a
  /// zo::interrupt_guard.
  bool stop_on_interrupt = false;
  /// The line. `quiet`: there is none. Its unit and value_name are set by the watch, and `first`
  /// where queries are counted by first_queries, those of the run before (resume).
  progress_options line{};
};

/// For minimize_options::on_step, of any run:
///   zo::minimize(zo::seq, f, x, how, zo::adam(),
///                {.max_queries = 400, .on_step = zo::watch({.label = "wing", .max_queries =
///                400})});
/// The line ends with the last copy, or by finish(). It shows the lowest f(x) at points of the run;
/// where nobody knows one, as central differences do not, the lowest mean of an estimate's answers.
/// In a callback of your own call it there. Cost of a step: a look at the clock, with `csv` a
/// system call; memory is allocated where a line is printed. Throws std::system_error where the
/// file cannot be written, std::invalid_argument where the one to go on with is another table. Of
/// processes that share a run one should watch, the others be quiet and without a file.
class [[gnu::visibility("default")]] watch {
 public:
  explicit watch(watch_options options);

  verdict operator()(const step_report& made) const;

  /// Ends the line, with the time that the run took.
  void finish() const;
  /// The signal that ended the run, or 0. A program that stops for it exits with 128 + this number.
  int signal() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace zo
