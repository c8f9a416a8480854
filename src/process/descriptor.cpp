#include "process/descriptor.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace zo::detail::programs {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// A program that runs with its own stdin closed gets that number for the next file.
descriptor above_stdio(descriptor given) {
  if (given.number() > STDERR_FILENO) return given;
  descriptor moved(fcntl(given.number(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved.is_open()) fail("zo::process: no file descriptor");
  return moved;
}

pipe_ends above_stdio(const std::array<int, 2>& ends) {
  descriptor first(ends[0]), second(ends[1]);
  return {above_stdio(std::move(first)), above_stdio(std::move(second))};
}

}  // namespace

void descriptor::close() noexcept {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

pipe_ends make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("zo::process: no pipe to a program");
  return above_stdio(ends);
}

pipe_ends make_socket_pair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    fail("zo::process: no pair of sockets");
  }
  return above_stdio(ends);
}

descriptor open_null() {
  const int number = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (number < 0) fail("zo::process: /dev/null cannot be opened");
  return above_stdio(descriptor(number));
}

void never_wait(const descriptor& end) { fcntl(end.number(), F_SETFL, O_NONBLOCK); }

}  // namespace zo::detail::programs
