#include "zo/interrupt.hpp"

#include <csignal>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

namespace zo {
namespace {

constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch such a flag");

std::mutex mutex;
int guards = 0;
// What they did before the first guard. The handler reads it; it is written while there is none.
std::array<struct sigaction, signals.size()> before;

/// Only async-signal-safe calls. A second signal does what it did before.
void remember(int signal) {
  if (received == 0) received = signal;
  for (std::size_t k = 0; k < signals.size(); ++k) {
    if (signals[k] != SIGHUP) sigaction(signals[k], &before[k], nullptr);
  }
}

}  // namespace

interrupt_guard::interrupt_guard() {
  const std::lock_guard lock(mutex);
  if (guards++ > 0) return;
  received = 0;
  for (std::size_t k = 0; k < signals.size(); ++k) sigaction(signals[k], nullptr, &before[k]);
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // reads and writes in progress carry on
  for (std::size_t k = 0; k < signals.size(); ++k) {
    const bool ignored = signals[k] == SIGHUP && before[k].sa_handler == SIG_IGN;
    if (!ignored) sigaction(signals[k], &action, nullptr);
  }
}

interrupt_guard::~interrupt_guard() {
  const std::lock_guard lock(mutex);
  if (--guards > 0) return;
  for (std::size_t k = 0; k < signals.size(); ++k) sigaction(signals[k], &before[k], nullptr);
}

int interrupt_guard::signal_number() { return received; }

}  // namespace zo
