#include "journal/appended_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "zo/journal.hpp"

namespace zo::detail {

namespace {

// Blocks until it is locked, or until `wait` is over.
bool lock(int descriptor, std::chrono::milliseconds wait) {
  const auto end = std::chrono::steady_clock::now() + wait;
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return true;  // a file system without locks
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::string read_from(int descriptor, const std::string& path) {
  std::string text;
  std::array<char, 1 << 16> some{};
  for (;;) {
    const ::ssize_t count =
        ::pread(descriptor, some.data(), some.size(), static_cast<::off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw journal_error("zo::journal: cannot read " + path + ": " + std::strerror(errno));
    }
    if (count == 0) return text;
    text.append(some.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

appended_file::appended_file(std::string path, std::chrono::milliseconds wait)
    : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot open");
  struct stat about {};
  const bool is_file = ::fstat(descriptor_, &about) == 0 && S_ISREG(about.st_mode);
  const bool locked = is_file && lock(descriptor_, wait);
  if (locked) return;
  ::close(descriptor_);
  throw journal_error("zo::journal: " + path_ +
                      (is_file ? " is being written by another program; wait until it has ended"
                               : " is no file; give the name of one"));
}

appended_file::~appended_file() { ::close(descriptor_); }

void appended_file::fail(const std::string& what) const {
  throw journal_error("zo::journal: " + what + " " + path_ + ": " + std::strerror(errno));
}

std::string appended_file::read() const { return read_from(descriptor_, path_); }

void appended_file::cut(std::size_t bytes) {
  bytes_ = bytes;
  if (::ftruncate(descriptor_, static_cast<::off_t>(bytes)) != 0) fail("cannot shorten");
}

void appended_file::append(std::string_view text, bool sync) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ::ssize_t some = ::write(descriptor_, text.data() + written, text.size() - written);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) {
      const int why = errno;
      cut(bytes_);
      errno = why;
      fail(
          "the run has stopped where it was and goes on when it is begun again, because an answer "
          "could not be written to");
    }
    written += static_cast<std::size_t>(some);
  }
  bytes_ += written;
  if (sync && ::fdatasync(descriptor_) != 0) fail("an answer could not be kept in");
}

std::string read_whole(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw journal_error("zo::journal: cannot read " + path + ": " + std::strerror(errno));
  }
  try {
    std::string text = read_from(descriptor, path);
    ::close(descriptor);
    return text;
  } catch (...) {
    ::close(descriptor);
    throw;
  }
}

}  // namespace zo::detail
