#include "common/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/output.hpp"
#include "support.hpp"

namespace app {
namespace {

// The exit code of a child that runs `action`, or minus the signal that ended it.
template <class Action>
int code_of(Action action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(Process, AFileNeverTakesThePlaceOfAClosedStream) {
  for (int closed = 0; closed <= 2; ++closed) {
    const int code = code_of([closed] {
      ::close(closed);
      keep_standard_streams();
      return ::open("/dev/null", O_RDWR) > 2 ? 0 : 1;
    });
    EXPECT_EQ(code, 0) << closed;
  }
  EXPECT_EQ(code_of([] {
              ::close(1);
              keep_standard_streams();
              return ::write(1, "x", 1) == -1 ? 0 : 1;  // results printed nowhere are an error
            }),
            0);
}

TEST(Process, AFailedWriteIsAnErrorAndNoSignal) {
  EXPECT_EQ(code_of([] {
              survive_failed_writes();
              int ends[2];
              if (::pipe(ends) != 0) return 2;
              ::close(ends[0]);
              return ::write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 1;
            }),
            0);
  const testing::temporary_directory folder;
  EXPECT_EQ(code_of([&] {
              survive_failed_writes();
              const rlimit none{0, 0};
              ::setrlimit(RLIMIT_FSIZE, &none);
              const int file = ::open((folder / "file").c_str(), O_WRONLY | O_CREAT, 0600);
              return ::write(file, "x", 1) == -1 && errno == EFBIG ? 0 : 1;
            }),
            0);
}

TEST(Process, ProgramsThatAreStartedHaveTheirOwnSignals) {
  EXPECT_EQ(code_of([] {
              survive_failed_writes();
              ::execlp("sh", "sh", "-c", "kill -s PIPE $$; exit 0", nullptr);
              return 127;
            }),
            -SIGPIPE);
}

TEST(Process, IdleThreadsSleepSoonUnlessTheUserSaysOtherwise) {
  if (const char* spins = std::getenv("GOMP_SPINCOUNT")) {  // the second start
    EXPECT_STREQ(spins, "1000");
    return;
  }
  const auto start_again = [](const char* policy) {
    return code_of([policy] {
      ::unsetenv("OMP_WAIT_POLICY");
      if (policy != nullptr) ::setenv("OMP_WAIT_POLICY", policy, 1);
      std::string name = "again", filter = "--gtest_filter=Process.IdleThreads*";
      char* arguments[] = {name.data(), filter.data(), nullptr};
      limit_spinning(arguments);
      return 42;  // it came back
    });
  };
  EXPECT_EQ(start_again(nullptr), 0);
  EXPECT_EQ(start_again("active"), 42);
}

TEST(Output, WhatCannotBePrintedIsAFailure) {
  const auto printing_to = [](const char* path) {
    return code_of([path] {
      if (std::freopen(path, "w", stdout) == nullptr) return 2;
      std::printf("results\n");
      const auto complaint = testing::refusal([] { require_printed(); });
      if (!complaint) return 0;
      return complaint->find("cannot print the results") == 0 ? 1 : 3;
    });
  };
  EXPECT_EQ(printing_to("/dev/null"), 0);
  EXPECT_EQ(printing_to("/dev/full"), 1);
  EXPECT_EQ(code_of([] {
              if (std::freopen("/dev/full", "w", stdout) == nullptr) return 2;
              std::printf("results\n");
              std::fflush(stdout);  // failed earlier
              return testing::refusal([] { require_printed(); }) ? 1 : 0;
            }),
            1);
}

}  // namespace
}  // namespace app
