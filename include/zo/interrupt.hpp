// Ctrl-C as a request: loops ask, save what they have, and stop.
#pragma once

namespace zo {

/// While alive, the first SIGINT, SIGTERM or SIGHUP only sets a flag. A second SIGINT or SIGTERM
/// does what it did before, which kills, unless a program has said otherwise; a second SIGHUP does
/// nothing, because a closed terminal sends it twice: kernel and shell. A SIGHUP that was ignored
/// before, by nohup, still is. After the guard is gone all do what they did before. Guards may
/// overlap; they are one. Make the first before other threads start work.
class [[gnu::visibility("default")]] interrupt_guard {
 public:
  interrupt_guard();
  ~interrupt_guard();
  interrupt_guard(const interrupt_guard&) = delete;
  interrupt_guard& operator=(const interrupt_guard&) = delete;

  /// True once a signal arrived. Cheap enough for every step of a loop; safe in any thread.
  static bool requested() { return signal_number() != 0; }

  /// The signal that arrived, or 0. A program that stops for it exits with 128 + this number.
  static int signal_number();
};

}  // namespace zo
