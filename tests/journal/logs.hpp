// Files of the tests of zo::journal.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "support.hpp"
#include "zo/journal.hpp"

namespace testing_zo {

// A name in a folder that goes away with it.
class log_file {
 public:
  log_file() {
    std::string pattern = (std::filesystem::temp_directory_path() / "zo_journal_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder");
    folder_ = pattern;
  }
  log_file(const log_file&) = delete;
  log_file& operator=(const log_file&) = delete;
  ~log_file() { std::filesystem::remove_all(folder_); }

  std::string folder() const { return folder_; }
  std::string name() const { return folder_ + "/run.jsonl"; }
  std::string text() const {
    std::ifstream file(name(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void write(std::string_view text) const { std::ofstream(name(), std::ios::binary) << text; }

 private:
  std::string folder_;
};

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end + 1 - at));
    at = end + 1;
  }
  return lines;
}

// What `call` threw, empty where nothing.
template <class Call>
std::string thrown_by(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

inline void expect_same(const zo::minimize_result& a, const zo::minimize_result& b) {
  EXPECT_EQ(a.why, b.why);
  EXPECT_EQ(zo::detail::text_of(a.value), zo::detail::text_of(b.value));
  EXPECT_EQ(zo::detail::text_of(a.best), zo::detail::text_of(b.best));
  EXPECT_EQ(a.queries, b.queries);
  EXPECT_EQ(a.failed, b.failed);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.next_step, b.next_step);
  EXPECT_EQ(a.skipped, b.skipped);
  EXPECT_EQ(a.failure != nullptr, b.failure != nullptr);
  if (a.failure && b.failure) {
    EXPECT_EQ(a.failure->why, b.failure->why);
    EXPECT_EQ(a.failure->point, b.failure->point);
    EXPECT_EQ(a.failure->step, b.failure->step);
  }
}

}  // namespace testing_zo
