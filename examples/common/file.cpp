#include "common/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
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

/// Refuses what a rename must not replace, such as /dev/null.
void require_replaceable(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::directory) {
    throw std::runtime_error("Cannot write " + name_of(path) +
                             ": it is a directory; choose another --out.");
  }
  if (type != fs::file_type::regular && type != fs::file_type::symlink &&
      type != fs::file_type::not_found) {
    throw std::runtime_error("Cannot write " + name_of(path) +
                             ": it is not a regular file; choose another --out.");
  }
}

bool same_file(int file, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int lock(int file, int how) {
  while (::flock(file, how) != 0) {
    if (errno == ENOLCK || errno == ENOTSUP) return 0;  // a file system without locks
    if (errno != EINTR) return errno;
  }
  return 0;
}

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t random_letters = 12;

fs::path temporary_name(const fs::path& path) {
  std::array<std::uint8_t, random_letters> random{};
  if (::getentropy(random.data(), random.size()) != 0) fail_writing(path, errno);
  std::string name = "." + path.filename().string() + ".";
  for (const std::uint8_t byte : random) name += letters[byte % letters.size()];
  return directory_of(path) / (name + ".tmp");
}

bool is_temporary_name(const std::string& name, const fs::path& path) {
  const std::string before = "." + path.filename().string() + ".";
  const std::string_view after = ".tmp";
  return name.size() == before.size() + random_letters + after.size() && name.starts_with(before) &&
         name.ends_with(after) &&
         name.find_first_not_of(letters, before.size()) == before.size() + random_letters;
}

/// Removes what killed writers of `path` left. A living one holds a lock.
void remove_leftovers(const fs::path& path) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory_of(path), ignored)) {
    if (!is_temporary_name(entry.path().filename().string(), path)) continue;
    const descriptor file(
        ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat info {};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (info.st_uid != ::geteuid() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    ::unlink(entry.path().c_str());
  }
}

struct opened {
  descriptor file;
  fs::path name;
};

/// A new file for this writer alone. One that cleans up may take it for a leftover between our open
/// and our lock; then we try again.
opened open_temporary(const fs::path& path) {
  require_replaceable(path);
  remove_leftovers(path);
  constexpr int most_attempts = 1000;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const fs::path name = temporary_name(path);
    descriptor file(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file.is_open() && errno == EEXIST) continue;
    if (!file.is_open()) fail_writing(path, errno);
    if (const int error = lock(file.get(), LOCK_EX)) {
      ::unlink(name.c_str());
      fail_writing(path, error);
    }
    if (same_file(file.get(), name)) return {std::move(file), name};
  }
  fail_writing(path, EBUSY);
}

std::string kind_of(mode_t mode) {
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

descriptor::~descriptor() {
  if (value_ >= 0) ::close(value_);
}

// O_NONBLOCK: opening a pipe would wait for a writer. It changes nothing for a regular file.
input_file::input_file(fs::path path, std::uint64_t limit_bytes)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
  if (!file_.is_open() && errno == ENXIO) {  // a socket, or a device that is not there
    throw std::runtime_error("Cannot read " + name_of(path_) +
                             ": it is no regular file; name a file.");
  }
  if (!file_.is_open()) fail_reading(path_, errno);
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) fail_reading(path_, errno);
  if (S_ISDIR(info.st_mode)) fail_reading(path_, EISDIR);
  if (!S_ISREG(info.st_mode)) {
    throw std::runtime_error("Cannot read " + name_of(path_) + ": it is " + kind_of(info.st_mode) +
                             "; name a file.");
  }
  size_ = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  if (size_ > limit_bytes) {
    throw std::runtime_error("Cannot read " + name_of(path_) + ": it is larger than the " +
                             format_bytes(limit_bytes) +
                             " that such a file may have; check that it is the right file.");
  }
}

void input_file::read(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::read(file_.get(), out.data(), out.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_reading(path_, errno);
    if (got == 0) {
      throw std::runtime_error("Cannot read " + name_of(path_) +
                               ": it became shorter in the meantime; try again.");
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::vector<std::uint8_t> read_file(const fs::path& path, std::uint64_t limit_bytes) {
  input_file file(path, limit_bytes);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(file.size()));
  file.read(bytes);
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

new_file::new_file(fs::path path) : path_(std::move(path)), file_(-1) {
  opened made = open_temporary(path_);
  temporary_ = std::move(made.name);
  file_ = std::move(made.file);
}

new_file::~new_file() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());  // still ours: locked until closed
}

void new_file::write(std::span<const std::uint8_t> bytes) {
  detail::write_all(file_.get(), bytes, path_);
}

void new_file::commit() {
  if (const int error = flush_to_disk(file_.get())) fail_writing(path_, error);
  // Some file systems tell of errors only when a file is closed; the lock stays.
  const int copy = ::dup(file_.get());
  if (copy < 0 || ::close(copy) != 0) fail_writing(path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing(path_, errno);
  temporary_.clear();
  flush_directory(directory_of(path_));
}

void write_atomically(const fs::path& path, std::span<const std::uint8_t> bytes) {
  new_file file(path);
  file.write(bytes);
  file.commit();
}

void write_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path,
                   std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
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
