// Helpers of the tests for examples/common.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace app::testing {

using bytes = std::vector<std::uint8_t>;

/// A directory that disappears with everything in it.
class temporary_directory {
 public:
  temporary_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "zo_app_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  /// Names of everything in it, hidden files included.
  std::vector<std::string> listing() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline void put(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline void put(const std::filesystem::path& path, const bytes& content) {
  put(path, std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
}

inline std::string get(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline bytes as_bytes(std::string_view text) { return {text.begin(), text.end()}; }

/// The message of the std::runtime_error that `action` throws, or nothing when it throws none.
template <class Action>
std::optional<std::string> refusal(Action&& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return std::nullopt;
}

/// Requires a std::runtime_error whose message is one sentence that contains `part`.
template <class Action>
void expect_refusal(Action&& action, std::string_view part) {
  const auto message = refusal(action);
  ASSERT_TRUE(message.has_value()) << "accepted; expected a message with: " << part;
  EXPECT_NE(message->find(part), std::string::npos) << *message;
  EXPECT_EQ(message->back(), '.') << *message;
  EXPECT_EQ(message->find('\n'), std::string::npos) << *message;
}

/// Sets an environment variable for the life of the object.
class environment {
 public:
  environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace app::testing
