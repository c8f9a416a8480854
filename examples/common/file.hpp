// Whole files in and out: reading with a size limit and of regular files only, writing that never
// leaves half a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace app {

/// A file that closes itself.
class descriptor {
 public:
  explicit descriptor(int value) : value_(value) {}
  descriptor(descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~descriptor();
  int get() const { return value_; }
  bool is_open() const { return value_ >= 0; }

 private:
  int value_;
};

/// A regular file that is read from its beginning to its end.
class input_file {
 public:
  /// Refuses, with std::runtime_error naming the file and the cause, what cannot be read, is no
  /// regular file (without waiting for the other end of a pipe), or holds more than `limit_bytes`.
  input_file(std::filesystem::path path, std::uint64_t limit_bytes);
  std::uint64_t size() const { return size_; }
  /// The next bytes, as many as `out` takes; throws std::runtime_error when there are fewer.
  void read(std::span<std::uint8_t> out);

 private:
  std::filesystem::path path_;
  descriptor file_;
  std::uint64_t size_ = 0;
};

/// All bytes of the file at `path`, read as an input_file.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uint64_t limit_bytes);

/// A file that becomes `path` when it is complete, or never: a full disk, a crash, kill -9 or
/// Ctrl-C at any moment leaves the old file or the new one, never a mixture. Until then it is
/// ".<name>.<random>.tmp" in the same directory; what killed writers left under such names is
/// removed. Links are never followed: neither one that stands at the random name nor one at `path`,
/// which is replaced. Members throw std::runtime_error that says what to do.
class new_file {
 public:
  explicit new_file(std::filesystem::path path);
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;
  ~new_file();

  /// Open for reading and writing, for programs that write it themselves.
  int get() const { return file_.get(); }
  void write(std::span<const std::uint8_t> bytes);
  /// Flushes to the disk and moves to `path`.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  descriptor file_;
};

/// Makes the file at `path` hold exactly `bytes`, or leaves it as it was, by a new_file.
void write_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// Creates `directory` and its parents; throws std::runtime_error that says what to do.
void make_directories(const std::filesystem::path& directory);

namespace detail {
/// Writes all of `bytes` to `descriptor`; throws the sentence about `path` when it cannot.
void write_all(int descriptor, std::span<const std::uint8_t> bytes,
               const std::filesystem::path& path);
}  // namespace detail

}  // namespace app
