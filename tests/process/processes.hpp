// What the tests of programs need: the test program's commands, and a count of what runs.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "zo/process.hpp"

namespace testing_zo {

inline std::vector<std::string> child(const std::vector<std::string>& words) {
  std::vector<std::string> command{ZO_PROCESS_CHILD};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

inline std::string text_of_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();  // as much as there is: of a process that is gone, nothing
  return text.str();
}

/// Processes that run, not those that wait to be reaped, with this among their arguments.
inline std::vector<int> running(const std::string& mark) {
  std::vector<int> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", none)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos || std::stoi(name) == getpid()) continue;
    if (text_of_file(entry.path() / "cmdline").find(mark) != std::string::npos) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

/// All processes that one has started and not reaped.
inline std::vector<int> children(const std::string& process = "self") {
  std::vector<int> all;
  std::error_code none;
  const std::string tasks = "/proc/" + process + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, none)) {
    std::ifstream file(task.path() / "children");
    for (int one = 0; file >> one;) all.push_back(one);
  }
  return all;
}

/// Those of them that have ended.
inline std::size_t ended_children() {
  const auto ended = [](int one) {
    const std::string stat = text_of_file("/proc/" + std::to_string(one) + "/stat");
    return stat.find(") Z ") != stat.npos;
  };
  return static_cast<std::size_t>(std::ranges::count_if(children(), ended));
}

inline int descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<int>(std::distance(begin(all), end(all)));
}

/// Waits at most ten seconds.
template <class Condition>
bool comes_true(const Condition& condition) {
  for (int k = 0; k < 2000; ++k) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

/// A mark of this test alone.
inline std::string mark() {
  const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
  return std::string("mark-") + test->name() + "-" + std::to_string(getpid());
}

/// No test leaves a process or a descriptor behind.
class process_test : public testing::Test {
 protected:
  void SetUp() override {
    children_ = children();
    descriptors_ = descriptors();
  }
  void TearDown() override {
    EXPECT_EQ(children(), children_);
    EXPECT_EQ(descriptors(), descriptors_);
    EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
  }

 private:
  std::vector<int> children_;
  int descriptors_ = 0;
};

/// The sentence of a question that fails.
template <class Ask>
std::string failure_of(const Ask& ask) {
  try {
    ask();
  } catch (const zo::process_error& error) {
    return error.what();
  }
  return "nothing failed";
}

}  // namespace testing_zo
