// How far a long run is: a bar on a terminal, plain lines in a log.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

namespace zo {

/// A count with three significant digits: "950", "12.3 k", "4.56 M".
std::string format_count(double count);

/// A duration: "8 s", "3 min 05 s", "2 h 07 min"; "?" when it is not finite.
std::string format_duration(double seconds);

/// What a progress line tells. Rates and the time left count only what this run did itself, so a
/// resumed run is not credited with the steps of the one before.
struct progress_state {
  std::string label;
  std::string unit;                ///< of total and done, such as "queries"; empty: not said
  std::int64_t total = 0;          ///< steps of the whole run; 0: nobody knows
  std::int64_t done = 0;           ///< steps finished, those before a resume included
  std::int64_t first = 0;          ///< steps that were already finished at the start
  std::int64_t queries = 0;        ///< queries made, those before a resume included
  std::int64_t first_queries = 0;  ///< queries that were already made at the start
  std::string value_name = "loss";
  std::optional<double> value;
  std::int64_t failed = 0;  ///< queries
  double seconds = 0;       ///< since the start of this run
  bool over = false;        ///< nothing more will come
};

/// "label [#####-----]  40 %  40/100  12.3 k queries  4.1 k/s  loss 1.234  1 min 05 s left", at
/// most `width` columns: the bar shrinks first, then parts at the end are left out.
std::string progress_bar_line(const progress_state& state, int width);

/// The same facts without a bar, for log files.
std::string progress_plain_line(const progress_state& state);

struct progress_options {
  std::int64_t first = 0;
  std::int64_t first_queries = 0;
  std::string unit{};                  ///< see progress_state
  std::string value_name = "loss";     ///< what update() is told
  bool quiet = false;                  ///< print nothing at all
  std::optional<bool> terminal = {};   ///< empty: ask whether `out` is one
  std::FILE* out = stderr;             ///< must outlive the progress
  double redraw_seconds = 0.1;         ///< terminal: shortest time between two redraws
  double line_seconds = 30;            ///< log: a line at least this often ...
  double line_fraction = 0.1;          ///< ... and whenever this share of the run is done
  std::function<double()> clock = {};  ///< seconds since any origin; empty: a monotonic clock
};

/// Call update() after every step; it prints only when due, and else costs a look at the clock. The
/// last state is printed by finish(), or when the object goes away early (an exception, Ctrl-C), so
/// that the prompt starts a new line.
class progress {
 public:
  /// `total`: steps of the whole run; 0 where nobody knows.
  progress(std::string label, std::int64_t total, progress_options options = {});
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// Counts are from the beginning of the whole run, resumed parts included.
  void update(std::int64_t done, std::int64_t queries = 0, std::optional<double> value = {},
              std::int64_t failed = 0);
  void finish();

  /// Seconds since this object was made.
  double seconds() const;

 private:
  void print();

  progress_options options_;
  progress_state state_;
  double start_ = 0;
  double last_print_ = 0;
  std::int64_t last_done_ = 0;
  bool printed_ = false;
  bool current_ = false;  // the printed line shows the latest state
};

}  // namespace zo
