// Ctrl-C as a request: loops ask, save what they have, and stop.
#pragma once

namespace app {

/// While alive, the first SIGINT, SIGTERM or SIGHUP only sets a flag; a second SIGINT or SIGTERM
/// kills at once, a second SIGHUP does nothing, because a closed terminal sends it twice: kernel
/// and shell. After the guard is gone all kill. A SIGHUP that was ignored before, by nohup, still
/// is. One guard at a time, in the main thread, before other threads start work.
class interrupt_guard {
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

}  // namespace app
