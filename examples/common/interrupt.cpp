#include "common/interrupt.hpp"

#include <csignal>

#include <atomic>

namespace app {
namespace {

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch such a flag");

void restore_default(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}

/// Only async-signal-safe calls. The default action is back from now on: a second signal kills.
void remember(int signal) {
  received = signal;
  restore_default(SIGINT);
  restore_default(SIGTERM);
}

}  // namespace

interrupt_guard::interrupt_guard() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // reads and writes in progress carry on
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

interrupt_guard::~interrupt_guard() {
  restore_default(SIGINT);
  restore_default(SIGTERM);
}

int interrupt_guard::signal_number() { return received; }

}  // namespace app
