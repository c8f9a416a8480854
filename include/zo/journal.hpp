// A run that one can keep, continue and look at: its answers as JSON lines in a file. Optional:
// link zo::journal; no other header of zo includes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "zo/answer_log.hpp"
#include "zo/ask.hpp"
#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/run.hpp"

namespace zo {

/// A file that cannot be read or written, or is no log of this run: a sentence with its name.
struct [[gnu::visibility("default")]] journal_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct journal_options {
  /// A JSON object of your own, kept in the first line of a new file: what else a program needs to
  /// go on. Of a file that is there, settings() are those in it.
  std::string settings{};
  /// What f is asked at a point of this step in numbers of your own, such as those of zo::space,
  /// kept beside it. From several threads.
  std::function<std::vector<double>(std::span<const double> point, std::uint64_t step)> values{};
  /// Points of more coordinates are kept as a sum, by which they are known again.
  index_t longest_point = 64;
  /// Every answer is on the disk before it is used, also where the power fails: some milliseconds
  /// each. Without, it is with the system, where no end of this program loses it.
  bool sync = false;
  std::chrono::milliseconds wait{0};  ///< for another program that has the file open
};

/// One answer of a log.
struct journal_entry {
  std::uint64_t id = 0;                                       ///< of the question
  std::uint64_t step = 0;                                     ///< of the estimate that asked
  double answer = std::numeric_limits<double>::quiet_NaN();   ///< NaN where the query failed
  std::string failure{};                                      ///< why
  index_t queries = 1;                                        ///< with those of retries
  double seconds = std::numeric_limits<double>::quiet_NaN();  ///< it took; NaN: nobody knows
  double at = 0;                 ///< when it was written, in seconds since 1970
  std::vector<double> point{};   ///< empty where it was too long to keep
  std::vector<double> values{};  ///< journal_options::values of it
};

/// A log as it is in its file.
struct journal_contents {
  int scalar_bytes = 8;
  std::uint64_t seed = 0;
  std::uint64_t first_step = 0;
  std::vector<double> start{};           ///< x of the run's begin
  std::string settings{};                ///< a JSON object
  std::vector<journal_entry> entries{};  ///< as they were written
};

/// Reads a log, also one that a run is writing. A last line without its end is left out. Throws
/// journal_error for a file that is none, or is damaged anywhere else. Memory: all of it.
[[gnu::visibility("default")]] journal_contents read_journal(const std::string& path);

/// The answers of a run in a file, a line of JSON each, written as they come:
///   zo::journal log("run.jsonl");
///   zo::minimize(zo::par, f, x, how, zo::adam(), {.max_queries = 400, .log = &log});
/// The same call again, with the same x, goes on where a run was killed, at any byte of the file,
/// with the bits of a run that was not; nothing is asked twice but what was being answered. Works
/// with zo::minimize under every policy of the host, zo::minimize_async and zo::ask. Under MPI
/// every process has a file of its own.
///
/// Each line carries a sum of itself and all lines before, so that a file which was changed is
/// refused; a last line that was cut off is taken away. One program at a time has the file. A line
/// costs some microseconds and 100 bytes, and 20 for each number of the point. Memory: the answers
/// that were there. Throws journal_error where the file cannot be written (a full disk): the run
/// ends with x at the last good point, and goes on later.
class [[gnu::visibility("default")]] journal final : public answer_log {
 public:
  explicit journal(const std::string& path, const journal_options& options = {});
  ~journal() override;

  /// A JSON object: that of the first line of the file.
  const std::string& settings() const;
  /// The file was there, with a first line.
  bool goes_on() const;

  void begin(const logged_run& run) override;
  bool knows(std::uint64_t id) const override;
  logged_answer recall(const logged_question& question) const override;
  void record(const logged_question& question, const logged_answer& answer) override;
  std::optional<logged_close> closed(std::uint64_t first_id) const override;
  void record(const logged_close& close) override;
  index_t recorded() const override;

 private:
  struct file;
  std::unique_ptr<file> file_;
};

namespace detail {

// The answers of a log to whoever asks the same questions; records nothing.
class [[gnu::visibility("default")]] journal_reader final : public answer_log {
 public:
  explicit journal_reader(const std::string& path);
  ~journal_reader() override;
  const journal_contents& contents() const;

  void begin(const logged_run& run) override;
  bool knows(std::uint64_t id) const override;
  logged_answer recall(const logged_question& question) const override;
  void record(const logged_question& question, const logged_answer& answer) override;
  std::optional<logged_close> closed(std::uint64_t first_id) const override;
  void record(const logged_close& close) override;
  index_t recorded() const override { return 0; }

 private:
  struct lines;
  std::unique_ptr<lines> lines_;
};

}  // namespace detail

/// Where a run was when its log ended.
template <scalar T>
struct replayed {
  std::vector<T> x;        ///< after the last step that the answers allow
  minimize_result result;  ///< so far
  bool over = false;       ///< the run has ended
};

/// x of a run, from its log alone: the steps that the answers allow are made, nothing is asked and
/// nothing is written. `how`, `optimizer` and `options` are those of the run, but log; seed and
/// first_step are taken from the file. Throws as zo::journal does.
template <scalar T, class How, class Optimizer>
requires estimator_on<How, machine<T>> && detail::optimizer_for<Optimizer, T> replayed<T> replay(
    const std::string& path, const How& how, Optimizer&& optimizer, minimize_options options) {
  detail::journal_reader log(path);
  const journal_contents& kept = log.contents();
  options.log = &log;
  options.seed = kept.seed;
  options.first_step = kept.first_step;
  const std::vector<T> start(kept.start.begin(), kept.start.end());
  const ask_and_tell<T> run(start, how, std::forward<Optimizer>(optimizer), options);
  return {{run.x().begin(), run.x().end()}, run.result(), run.over()};
}

}  // namespace zo
