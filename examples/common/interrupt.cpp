#include "common/interrupt.hpp"

#include <csignal>

#include <atomic>

namespace app {
namespace {

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch such a flag");

void act(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // reads and writes in progress carry on
  sigaction(signal, &action, nullptr);
}

bool ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// Only async-signal-safe calls. The default action is back from now on: a second signal kills.
void remember(int signal) {
  if (received == 0) received = signal;
  act(SIGINT, SIG_DFL);
  act(SIGTERM, SIG_DFL);
}

}  // namespace

interrupt_guard::interrupt_guard() {
  received = 0;
  act(SIGINT, remember);
  act(SIGTERM, remember);
  if (!ignored(SIGHUP)) act(SIGHUP, remember);
}

interrupt_guard::~interrupt_guard() {
  act(SIGINT, SIG_DFL);
  act(SIGTERM, SIG_DFL);
  if (!ignored(SIGHUP)) act(SIGHUP, SIG_DFL);
}

int interrupt_guard::signal_number() { return received; }

}  // namespace app
