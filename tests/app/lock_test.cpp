#include "common/lock.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "support.hpp"

namespace app {
namespace {

TEST(Lock, ASecondHolderIsToldOfTheFirst) {
  const testing::temporary_directory folder;
  const auto out = folder / "new" / "er";
  std::optional<folder_lock> first(out);
  EXPECT_EQ(first->warning(), "");
  testing::expect_refusal([&] { folder_lock second(out); },
                          "process " + std::to_string(::getpid()) + " on ");
  std::filesystem::create_directory_symlink(out, folder / "link");
  testing::expect_refusal([&] { folder_lock second(folder / "link"); }, "choose another --out");
  const folder_lock other(folder / "other");
  first.reset();
  EXPECT_NO_THROW(folder_lock again(out));
}

TEST(Lock, NoneStaysBehindAKilledProcess) {
  const testing::temporary_directory folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const folder_lock held(folder.path());
    [[maybe_unused]] const ssize_t put = ::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  testing::expect_refusal([&] { folder_lock second(folder.path()); },
                          "process " + std::to_string(child) + " on ");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(folder_lock again(folder.path()));
}

TEST(Lock, ProgramsThatAreStartedDoNotInheritIt) {
  const testing::temporary_directory folder;
  std::optional<folder_lock> held(folder.path());
  const pid_t child = ::fork();
  if (child == 0) {
    ::execlp("sleep", "sleep", "60", nullptr);
    ::_exit(127);
  }
  // Until the child has become another program it has the lock too.
  const auto exe = "/proc/" + std::to_string(child) + "/exe";
  const auto here = std::filesystem::read_symlink("/proc/self/exe");
  while (std::filesystem::read_symlink(exe) == here) ::usleep(1000);
  held.reset();
  EXPECT_NO_THROW(folder_lock again(folder.path()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST(Lock, OnlyARegularFileIsOne) {
  const testing::temporary_directory folder;
  testing::put(folder / "precious", "text");
  std::filesystem::create_symlink(folder / "precious", folder / ".lock");
  testing::expect_refusal([&] { folder_lock held(folder.path()); }, "Cannot write to");
  EXPECT_EQ(testing::get(folder / "precious"), "text");
  std::filesystem::remove(folder / ".lock");
  ASSERT_EQ(::mkfifo((folder / ".lock").c_str(), 0600), 0);
  testing::expect_refusal([&] { folder_lock held(folder.path()); }, "no regular file");
  testing::put(folder / "file", "");
  testing::expect_refusal([&] { folder_lock held(folder / "file"); }, "choose another --out");
}

}  // namespace
}  // namespace app
