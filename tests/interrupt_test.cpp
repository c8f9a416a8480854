#include "zo/interrupt.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace zo {
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

TEST(interrupt, the_first_signal_sets_a_flag) {
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

TEST(interrupt, the_second_signal_kills) {
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
TEST(interrupt, a_second_hangup_does_not_kill) {
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

TEST(interrupt, nohup_is_respected) {
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

TEST(interrupt, after_the_guard_signals_kill_again) {
  const int status = status_of([] {
    { const interrupt_guard guard; }
    ::raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST(interrupt, a_new_guard_starts_afresh) {
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

TEST(interrupt, guards_may_overlap) {
  const int status = status_of([] {
    {
      const interrupt_guard outer;
      { const interrupt_guard inner; }
      ::raise(SIGINT);
      const interrupt_guard later;
      if (!interrupt_guard::requested()) ::_exit(1);
    }
    ::raise(SIGINT);
    ::_exit(2);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

volatile sig_atomic_t own = 0;

TEST(interrupt, a_handler_of_the_program_is_back_after_the_first_signal_and_after_the_guard) {
  EXPECT_EQ(status_of([] {
              ::signal(SIGTERM, [](int) { own = own + 1; });
              {
                const interrupt_guard guard;
                ::raise(SIGTERM);
                if (own != 0) ::_exit(1);
                ::raise(SIGTERM);
                if (own != 1) ::_exit(2);
              }
              ::raise(SIGTERM);
              ::_exit(own == 2 ? 0 : 3);
            }),
            0);
}

}  // namespace
}  // namespace zo
