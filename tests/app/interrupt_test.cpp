#include "common/interrupt.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace app {
namespace {

/// Runs `action` in a child process; returns its wait status.
template <class Action>
int status_of(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Interrupt, TheFirstSignalSetsAFlag) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const int status = status_of([signal] {
      const interrupt_guard guard;
      if (interrupt_guard::requested()) ::_exit(1);
      ::raise(signal);
      if (!interrupt_guard::requested()) ::_exit(2);
      ::_exit(interrupt_guard::signal_number() == signal ? 0 : 3);
    });
    EXPECT_EQ(status, 0) << signal;
  }
}

TEST(Interrupt, TheSecondSignalKills) {
  for (const int second : {SIGINT, SIGTERM}) {
    const int status = status_of([second] {
      const interrupt_guard guard;
      ::raise(SIGINT);
      ::raise(second);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == second);
  }
}

// The kernel and the shell both send one when a terminal is closed, and some systems after SIGTERM.
TEST(Interrupt, ASecondHangupDoesNotKill) {
  for (const int first : {SIGHUP, SIGTERM, SIGINT}) {
    const int status = status_of([first] {
      const interrupt_guard guard;
      ::raise(first);
      ::raise(SIGHUP);
      ::_exit(interrupt_guard::signal_number() == first ? 0 : 1);
    });
    EXPECT_EQ(status, 0) << first;
  }
  const int status = status_of([] {
    const interrupt_guard guard;
    ::raise(SIGHUP);
    ::raise(SIGINT);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST(Interrupt, NohupIsRespected) {
  EXPECT_EQ(status_of([] {
              ::signal(SIGHUP, SIG_IGN);
              {
                const interrupt_guard guard;
                ::raise(SIGHUP);
                if (interrupt_guard::requested()) ::_exit(1);
              }
              ::raise(SIGHUP);
              ::_exit(0);
            }),
            0);
}

TEST(Interrupt, AfterTheGuardSignalsKillAgain) {
  const int status = status_of([] {
    { const interrupt_guard guard; }
    ::raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST(Interrupt, ANewGuardStartsAfresh) {
  EXPECT_EQ(status_of([] {
              {
                const interrupt_guard guard;
                ::raise(SIGINT);
              }
              const interrupt_guard guard;
              ::_exit(interrupt_guard::requested() ? 1 : 0);
            }),
            0);
}

}  // namespace
}  // namespace app
