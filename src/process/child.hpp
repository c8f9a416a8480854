// A program that runs: its three pipes, how it ended, and nothing of what is said.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "process/descriptor.hpp"
#include "process/guardian.hpp"
#include "process/numbers_file.hpp"
#include "process/spawn.hpp"

namespace zo::detail::programs {

using steady = std::chrono::steady_clock;

/// What became of a program.
struct ending {
  enum class kind { exited, killed, unknown } what = kind::unknown;
  int number = 0;  // exit code or signal

  bool well() const { return what == kind::exited && number == 0; }
  std::string text() const;
};

class child {
 public:
  child(const recipe& how, const guardian& watch) : how_(how), watch_(watch) {}
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() { end(); }

  bool runs() const { return group_ > 0; }
  /// Throws std::system_error. Nothing must run.
  void start(const std::vector<std::string>& words);
  /// Kills it and all that it has started. What it has said is kept until the next start.
  void end() noexcept;

  /// Writes, now or while it is waited for.
  void write(std::string_view text);
  void close_stdin_when_written();
  void close_stdin() { in_.write.close(); }

  /// Reads what is there, or about so many bytes that are not taken: then there may be more.
  bool read_stdout(std::size_t most);
  std::string_view received() const { return std::string_view(received_).substr(taken_); }
  void take(std::size_t bytes);
  void keep(std::size_t first, std::size_t end);  // of what is received
  bool stdout_ended() const { return !out_.is_open(); }
  /// Its last words on stderr.
  const std::string& read_stderr();

  /// How it ended, once that is known.
  const std::optional<ending>& ended() const { return ending_; }
  /// Asks the system whether it ended, if that is due.
  void look(steady::time_point now);
  void look_at_once();

  static constexpr std::size_t polled = 3;
  void watch(std::span<pollfd, polled> polls) const;
  /// Moves bytes as poll has said they can be.
  void exchange(std::span<const pollfd, polled> polls, std::size_t most);
  steady::time_point next_look() const { return next_look_; }

  int questions = 0;                 ///< asked and not answered
  int fruitless_starts = 0;          ///< in a row, without an answer
  std::optional<numbers_file> file;  ///< that it reads; goes when it ends

 private:
  void flush();

  const recipe& how_;
  const guardian& watch_;
  pid_t group_ = 0;
  pipe_ends in_;  // both: no write finds it closed, which would be a SIGPIPE
  descriptor out_, err_;
  std::string unsent_, received_, errors_;
  std::size_t sent_ = 0, taken_ = 0;
  bool last_ = false;  // stdin ends after what is unsent
  std::optional<ending> ending_;
  steady::time_point next_look_{};
  std::chrono::nanoseconds look_after_{};
};

/// Until something happens to one of them, or there is reason to look, or `until`.
void wait_for(std::span<child* const> children, steady::time_point until, std::size_t most);

}  // namespace zo::detail::programs
