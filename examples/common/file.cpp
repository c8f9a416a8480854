#include "common/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "common/text.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;

std::string name_of(const fs::path& path) { return in_quotes(path.string()); }

std::string advice_for_reading(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return "check the path";
    case EACCES:
    case EPERM:
      return "check its permissions";
    case EISDIR:
      return "it is a directory: name a file";
    default:
      return "check the disk";
  }
}

std::string advice_for_writing(int error) {
  switch (error) {
    case ENOSPC:
      return "the disk is full: free space or choose another --out";
    case EDQUOT:
      return "the disk quota is used up: free space or choose another --out";
    case EFBIG:
      return "the file would be larger than this system allows: choose another --out";
    case EACCES:
    case EPERM:
      return "writing is not permitted: check the permissions or choose another --out";
    case EROFS:
      return "the file system is read-only: choose another --out";
    case ENOENT:
    case ENOTDIR:
      return "its directory does not exist: create it or choose another --out";
    case EBUSY:
      return "other programs keep writing it: choose another --out";
    case ENAMETOOLONG:
      return "the name is too long: choose another --out";
    default:
      return "check the disk or choose another --out";
  }
}

std::string cause(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_reading(const fs::path& path, int error) {
  throw std::runtime_error("Cannot read " + name_of(path) + ": " + cause(error) + "; " +
                           advice_for_reading(error) + ".");
}

[[noreturn]] void fail_writing(const fs::path& path, int error) {
  throw std::runtime_error("Cannot write " + name_of(path) + ": " + cause(error) + "; " +
                           advice_for_writing(error) + ".");
}

/// An open file that closes itself.
class descriptor {
 public:
  explicit descriptor(int value) : value_(value) {}
  descriptor(descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const { return value_; }
  bool is_open() const { return value_ >= 0; }

 private:
  int value_;
};

int flush_to_disk(int file) {
  while (::fsync(file) != 0) {
    if (errno == EINVAL || errno == ENOTSUP) return 0;  // a file system without fsync
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// Makes the rename itself survive a power cut. The data are safe already, so a directory that
/// cannot be opened or flushed is not an error.
void flush_directory(const fs::path& directory) {
  const descriptor handle(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.is_open()) flush_to_disk(handle.get());
}

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Where writing to `path` really goes; refuses what a rename must not replace (/dev/null).
fs::path resolve_target(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::directory) {
    throw std::runtime_error("Cannot write " + name_of(path) +
                             ": it is a directory; choose another --out.");
  }
  if (fs::exists(status) && status.type() != fs::file_type::regular) {
    throw std::runtime_error("Cannot write " + name_of(path) +
                             ": it is not a regular file; choose another --out.");
  }
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  const fs::path target = fs::weakly_canonical(path, error);
  if (error) fail_writing(path, error.value());
  return target;
}

bool same_file(int file, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// Opens the temporary file for this writer alone. Another writer may rename the file away between
/// our open and our lock; then the name belongs to a new file and we try again.
descriptor open_locked(const fs::path& temporary, const fs::path& path) {
  constexpr int most_attempts = 1000;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
    if (!file.is_open()) fail_writing(path, errno);
    while (::flock(file.get(), LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      if (errno == ENOLCK || errno == ENOTSUP) break;  // a file system without locks
      fail_writing(path, errno);
    }
    if (same_file(file.get(), temporary)) return file;
  }
  fail_writing(path, EBUSY);
}

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path, std::uint64_t limit_bytes) {
  const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) fail_reading(path, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail_reading(path, errno);
  if (S_ISDIR(info.st_mode)) fail_reading(path, EISDIR);

  const auto refuse_size = [&] {
    throw std::runtime_error("Cannot read " + name_of(path) + ": it is larger than the " +
                             format_bytes(limit_bytes) +
                             " that such a file may have; check that it is the right file.");
  };
  const auto stated = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  if (stated > limit_bytes) refuse_size();

  // The stated size is only a hint: pipes state 0, and a file may grow while it is read.
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(stated) + 1);
  std::size_t filled = 0;
  while (true) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_reading(path, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > limit_bytes) refuse_size();
    if (filled == bytes.size()) bytes.resize(bytes.size() + std::max<std::size_t>(65536, filled));
  }
  bytes.resize(filled);
  return bytes;
}

void detail::write_all(int file, std::span<const std::uint8_t> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(file, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_writing(path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void write_atomically(const fs::path& path, std::span<const std::uint8_t> bytes) {
  const fs::path target = resolve_target(path);
  const fs::path temporary =
      directory_of(target) / (std::string(".") + target.filename().string() + ".tmp");
  const descriptor file = open_locked(temporary, path);
  try {
    if (::ftruncate(file.get(), 0) != 0) fail_writing(path, errno);
    detail::write_all(file.get(), bytes, path);
    if (const int error = flush_to_disk(file.get())) fail_writing(path, error);
    if (::rename(temporary.c_str(), target.c_str()) != 0) fail_writing(path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());  // still ours: the lock is held until `file` closes
    throw;
  }
  flush_directory(directory_of(target));
}

void write_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path,
                   std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void replace_file(const fs::path& finished, const fs::path& path) {
  const fs::path target = resolve_target(path);
  {
    const descriptor file(::open(finished.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) fail_reading(finished, errno);
    if (const int error = flush_to_disk(file.get())) fail_writing(path, error);
  }
  if (::rename(finished.c_str(), target.c_str()) != 0) fail_writing(path, errno);
  flush_directory(directory_of(target));
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && fs::is_directory(directory)) return;
  const int code = error ? error.value() : ENOTDIR;
  const std::string advice = code == ENOTDIR || code == EEXIST
                                 ? "a file stands in its place: choose another --out"
                                 : advice_for_writing(code);
  throw std::runtime_error("Cannot create the directory " + name_of(directory) + ": " +
                           cause(code) + "; " + advice + ".");
}

}  // namespace app
