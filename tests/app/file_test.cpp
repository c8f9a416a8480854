#include "common/file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <numeric>
#include <thread>

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;
using testing::expect_refusal;
using testing::get;
using testing::put;
using testing::temporary_directory;

TEST(File, ReadsWhatIsThere) {
  const temporary_directory directory;
  put(directory / "a", std::string_view("x\0y\n", 4));
  EXPECT_EQ(read_file(directory / "a", 4), (testing::bytes{'x', 0, 'y', '\n'}));
  put(directory / "empty", "");
  EXPECT_TRUE(read_file(directory / "empty", 0).empty());
}

TEST(File, RefusesWhatItCannotRead) {
  const temporary_directory directory;
  expect_refusal([&] { read_file(directory / "none", 10); }, "check the path");
  expect_refusal([&] { read_file(directory.path(), 10); }, "it is a directory");
  put(directory / "a", "12345");
  expect_refusal([&] { read_file(directory / "a", 4); }, "larger than the 4 bytes");
  EXPECT_EQ(read_file(directory / "a", 5).size(), 5U);
}

TEST(File, LimitsWhatStatesNoSize) {
  expect_refusal([] { read_file("/dev/zero", 100'000); }, "larger than");
}

TEST(File, WritesAndReplaces) {
  const temporary_directory directory;
  write_atomically(directory / "a", "one");
  EXPECT_EQ(get(directory / "a"), "one");
  write_atomically(directory / "a", "");
  EXPECT_EQ(get(directory / "a"), "");
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"a"});
}

TEST(File, NamesWithoutDirectoryGoToTheCurrentOne) {
  const temporary_directory directory;
  const fs::path before = fs::current_path();
  fs::current_path(directory.path());
  write_atomically("plain", "text");
  fs::current_path(before);
  EXPECT_EQ(get(directory / "plain"), "text");
}

TEST(File, RefusesToReplaceWhatIsNoFile) {
  const temporary_directory directory;
  expect_refusal([] { write_atomically("/dev/null", "x"); }, "not a regular file");
  expect_refusal([&] { write_atomically(directory.path(), "x"); }, "is a directory");
  expect_refusal([&] { write_atomically(directory / "no/where", "x"); }, "does not exist");
  struct stat null {};
  ASSERT_EQ(::stat("/dev/null", &null), 0);
  EXPECT_TRUE(S_ISCHR(null.st_mode));
}

TEST(File, FollowsLinks) {
  const temporary_directory directory;
  put(directory / "target", "old");
  fs::create_symlink("target", directory / "link");
  write_atomically(directory / "link", "new");
  EXPECT_TRUE(fs::is_symlink(directory / "link"));
  EXPECT_EQ(get(directory / "target"), "new");
}

TEST(File, DoesNotWriteThroughAPlantedTemporaryLink) {
  const temporary_directory directory;
  put(directory / "precious", "precious");
  fs::create_symlink("precious", directory / ".a.tmp");
  EXPECT_TRUE(testing::refusal([&] { write_atomically(directory / "a", "x"); }));
  EXPECT_EQ(get(directory / "precious"), "precious");
}

TEST(File, AFullDiskIsASentence) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  const testing::bytes content(10);
  expect_refusal([&] { detail::write_all(full, content, "out.csv"); },
                 "the disk is full: free space or choose another --out");
  ::close(full);
}

/// Runs `action` in a child process and returns its exit code.
template <class Action>
int in_child(Action action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(File, AWriteThatFailsHalfWayLeavesTheOldFile) {
  const temporary_directory directory;
  put(directory / "a", "old");
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto message =
        testing::refusal([&] { write_atomically(directory / "a", std::string(1'000'000, 'x')); });
    return message && message->find("choose another --out") != std::string::npos ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(get(directory / "a"), "old");
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"a"});
}

TEST(File, KilledWritersLeaveOneVersionAndOneLeftover) {
  const temporary_directory directory;
  const std::string old_text(3'000'000, 'o');
  const std::string new_text(3'000'000, 'n');
  write_atomically(directory / "a", old_text);
  for (int attempt = 0; attempt < 20; ++attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) {
        write_atomically(directory / "a", new_text);
        write_atomically(directory / "a", old_text);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 * attempt));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string now = get(directory / "a");
    ASSERT_TRUE(now == old_text || now == new_text);
    ASSERT_LE(directory.listing().size(), 2U);
  }
  write_atomically(directory / "a", "last");  // a leftover is no obstacle
  EXPECT_EQ(get(directory / "a"), "last");
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"a"});
}

TEST(File, WritersOfTheSameFileDoNotMix) {
  const temporary_directory directory;
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([&, c] {
      for (int i = 0; i < 30; ++i) write_atomically(directory / "f", std::string(50'000, c));
    });
  }
  for (int i = 0; i < 200; ++i) {
    const std::string now = get(directory / "f");
    ASSERT_TRUE(now.empty() || now == std::string(50'000, now[0]));
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"f"});
}

TEST(File, DirectoriesAreMadeOrExplained) {
  const temporary_directory directory;
  make_directories(directory / "a/b/c");
  make_directories(directory / "a/b/c");
  EXPECT_TRUE(fs::is_directory(directory / "a/b/c"));
  put(directory / "file", "");
  expect_refusal([&] { make_directories(directory / "file"); }, "a file stands in its place");
  expect_refusal([&] { make_directories(directory / "file/deeper"); }, "choose another --out");
}

TEST(File, ReplacingMovesAFinishedFile) {
  const temporary_directory directory;
  put(directory / "new", "new");
  put(directory / "a", "old");
  replace_file(directory / "new", directory / "a");
  EXPECT_EQ(get(directory / "a"), "new");
  expect_refusal([&] { replace_file(directory / "new", directory / "a"); }, "check the path");
  EXPECT_EQ(get(directory / "a"), "new");
}

}  // namespace
}  // namespace app
