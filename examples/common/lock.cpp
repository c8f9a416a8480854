#include "common/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "common/file.hpp"
#include "common/number.hpp"
#include "common/text.hpp"

namespace app {

namespace {

// "process 1234 on node7", as the holder has written it, or "another program".
std::string holder_in(int file) {
  std::array<char, 200> bytes{};
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  const std::string_view text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos || !whole_number<pid_t>(text.substr(0, blank))) {
    return "another program";
  }
  return "process " + std::string(text.substr(0, blank)) + " on " +
         printable(text.substr(blank + 1));
}

// For the sentence of another program; nothing depends on it.
void write_holder(int file) {
  std::array<char, 100> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {'?'};
  const std::string text = std::to_string(::getpid()) + " " + host.data();
  if (::ftruncate(file, 0) != 0) return;
  [[maybe_unused]] const ssize_t put = ::pwrite(file, text.data(), text.size(), 0);
}

}  // namespace

folder_lock::folder_lock(const std::filesystem::path& folder) {
  make_directories(folder);
  const std::filesystem::path path = folder / ".lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  const auto fail = [&](const std::string& cause, const std::string& advice) {
    if (file_ >= 0) ::close(file_);
    throw std::runtime_error("Cannot write to " + in_quotes(folder.string()) + ": " + cause + "; " +
                             advice + ".");
  };
  if (file_ < 0) {
    fail(std::generic_category().message(errno) + " (.lock)",
         "check its permissions or choose another --out");
  }
  struct stat info {};
  if (::fstat(file_, &info) != 0 || !S_ISREG(info.st_mode)) {
    fail("its .lock is no regular file", "remove it or choose another --out");
  }
  int error = 0;
  while (error == 0 || error == EINTR) {
    if (::flock(file_, LOCK_EX | LOCK_NB) == 0) break;
    error = errno;
  }
  if (error == EWOULDBLOCK) {
    fail(holder_in(file_) + " is at work there", "wait for it or choose another --out");
  }
  if (error != 0 && error != EINTR) {
    warning_ = "The file system of " + in_quotes(folder.string()) +
               " has no locks: start no other program with this --out meanwhile.";
    return;
  }
  write_holder(file_);
}

folder_lock::~folder_lock() { ::close(file_); }

}  // namespace app
