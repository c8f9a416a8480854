// A file that grows by whole lines, by one program at a time.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace zo::detail {

class appended_file {
 public:
  // Opens or makes it, and keeps others from it. Throws journal_error.
  appended_file(std::string path, std::chrono::milliseconds wait);
  appended_file(const appended_file&) = delete;
  appended_file& operator=(const appended_file&) = delete;
  ~appended_file();

  const std::string& path() const { return path_; }
  std::string read() const;
  // What is behind is taken away.
  void cut(std::size_t bytes);
  // All of it or nothing.
  void append(std::string_view text, bool sync);

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  int descriptor_ = -1;
  std::size_t bytes_ = 0;
};

// A whole file. Throws journal_error.
std::string read_whole(const std::string& path);

}  // namespace zo::detail
