#include "common/file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

// None of them is waited for.
TEST(File, ReadsRegularFilesOnly) {
  const temporary_directory directory;
  expect_refusal([] { read_file("/dev/zero", 100'000); }, "it is a device");
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  expect_refusal([&] { read_file(directory / "pipe", 10); }, "it is a pipe");
  const descriptor listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refusal([&] { read_file(directory / "socket", 10); }, "it is no regular file");
  put(directory / "target", "text");
  fs::create_symlink("target", directory / "link");
  EXPECT_EQ(read_file(directory / "link", 4).size(), 4U);
}

TEST(File, LooksAtTheSizeBeforeItReads) {
  const temporary_directory directory;
  put(directory / "holes", "");
  fs::resize_file(directory / "holes", std::uintmax_t{1} << 40);
  expect_refusal([&] { read_file(directory / "holes", 1'000'000); }, "larger than the");
  input_file file(directory / "holes", ~std::uint64_t{0});
  EXPECT_EQ(file.size(), std::uint64_t{1} << 40);
  fs::resize_file(directory / "holes", 3);
  testing::bytes four(4);
  expect_refusal([&] { file.read(four); }, "became shorter");
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

// A link at the name is replaced; its target belongs to somebody.
TEST(File, DoesNotWriteThroughLinks) {
  const temporary_directory directory;
  put(directory / "target", "old");
  for (const char* target : {"target", "nowhere", "/dev/null"}) {
    fs::create_symlink(target, directory / "link");
    write_atomically(directory / "link", "new");
    EXPECT_FALSE(fs::is_symlink(directory / "link"));
    EXPECT_EQ(get(directory / "link"), "new");
    fs::remove(directory / "link");
  }
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"target"});
  EXPECT_EQ(get(directory / "target"), "old");
}

TEST(File, TemporaryNamesCannotBeGuessed) {
  const temporary_directory directory;
  std::vector<std::string> names;
  for (int i = 0; i < 2; ++i) {
    const new_file file(directory / "a");
    names.push_back(directory.listing().at(0));
  }
  EXPECT_NE(names[0], names[1]);
  EXPECT_TRUE(directory.listing().empty());
  // What stands at a name of that form, and is no leftover of ours, stays.
  put(directory / "precious", "precious");
  fs::create_symlink("precious", directory / ".a.abcdefghijkl.tmp");
  fs::create_directory(directory / ".a.abcdefghijkm.tmp");
  fs::create_hard_link(directory / "precious", directory / ".a.tmp");
  write_atomically(directory / "a", "x");
  EXPECT_EQ(get(directory / "precious"), "precious");
  EXPECT_EQ(directory.listing().size(), 5U);
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

TEST(File, WhatIsNotFinishedDisappears) {
  const temporary_directory directory;
  put(directory / "a", "old");
  {
    new_file file(directory / "a");
    file.write(testing::as_bytes("new"));
    EXPECT_EQ(get(directory / "a"), "old");
  }
  EXPECT_EQ(get(directory / "a"), "old");
  EXPECT_EQ(directory.listing(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace app
