#include "process/child.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace zo::detail::programs {
namespace {

// How often a program is looked at that says nothing, and one that has closed its stdout and is
// therefore about to end.
constexpr std::chrono::milliseconds look_rarely{50};
constexpr std::chrono::microseconds look_soon{50};
constexpr std::chrono::milliseconds look_at_last{10};

// Reads once; false at the end of the file.
template <std::size_t Bytes>
bool read_some(const descriptor& from, std::array<char, Bytes>& bytes, std::size_t& count) {
  const ssize_t got = ::read(from.number(), bytes.data(), Bytes);
  count = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

}  // namespace

std::string ending::text() const {
  switch (what) {
    case kind::exited:
      return "ended with exit code " + std::to_string(number);
    case kind::killed:
      return "was killed by signal " + std::to_string(number);
    case kind::unknown:
      return "ended, nobody knows how, because this program ignores SIGCHLD";
  }
  return "";
}

void child::start(const std::vector<std::string>& words) {
  ++fruitless_starts;
  questions = 0;
  unsent_.clear(), received_.clear(), errors_.clear();
  sent_ = taken_ = 0;
  last_ = false;
  ending_.reset();
  pipe_ends in = make_pipe(), out = make_pipe(), err = make_pipe();
  never_wait(in.write), never_wait(out.read), never_wait(err.read);
  group_ = spawn(how_, words, in.read, out.write, err.write, watch_.herald());
  in_ = std::move(in), out_ = std::move(out.read), err_ = std::move(err.read);
  look_after_ = look_rarely;
  next_look_ = steady::now() + look_after_;
}

void child::end() noexcept {
  if (runs()) kill_and_reap(group_, watch_.herald());
  group_ = 0;
  in_.write.close(), in_.read.close(), out_.close(), err_.close();
  file.reset();
}

void child::write(std::string_view text) {
  unsent_ += text;
  flush();
}

void child::close_stdin_when_written() {
  last_ = true;
  flush();
}

void child::flush() {
  while (sent_ < unsent_.size()) {
    const ssize_t written =
        ::write(in_.write.number(), unsent_.data() + sent_, unsent_.size() - sent_);
    if (written < 0 && errno != EINTR) return;  // it is full
    sent_ += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
  }
  unsent_.clear();
  sent_ = 0;
  if (last_) in_.write.close();
}

bool child::read_stdout(std::size_t most) {
  std::array<char, 4096> bytes;  // NOLINT: read writes it
  std::size_t count = bytes.size();
  while (out_.is_open() && count == bytes.size() && received().size() <= most) {
    if (!read_some(out_, bytes, count)) {
      out_.close();
      look_after_ = look_soon;
      next_look_ = steady::now();
    }
    received_.append(bytes.data(), count);
  }
  return out_.is_open() && count == bytes.size();
}

void child::take(std::size_t bytes) {
  taken_ += bytes;
  if (taken_ < received_.size()) return;
  received_.clear();
  taken_ = 0;
}

void child::keep(std::size_t first, std::size_t end) {
  received_.erase(taken_ + end);
  received_.erase(0, taken_ + first);
  taken_ = 0;
}

const std::string& child::read_stderr() {
  constexpr std::size_t most = 1 << 14;
  std::array<char, 4096> bytes;  // NOLINT: read writes it
  std::size_t count = bytes.size();
  for (int reads = 0; err_.is_open() && count == bytes.size() && reads < 32; ++reads) {
    if (!read_some(err_, bytes, count)) err_.close();
    errors_.append(bytes.data(), count);
  }
  if (errors_.size() > 2 * most) errors_.erase(0, errors_.size() - most);
  return errors_;
}

void child::look(steady::time_point now) {
  if (!runs() || ending_ || now < next_look_) return;
  siginfo_t info{};
  const int result = waitid(P_PID, static_cast<id_t>(group_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (result == 0 && info.si_pid == 0) {  // it runs
    next_look_ = now + look_after_;
    if (stdout_ended())
      look_after_ = std::min<std::chrono::nanoseconds>(2 * look_after_, look_at_last);
    return;
  }
  if (result != 0 && errno == EINTR) return;
  using kind = ending::kind;
  ending_ = result != 0
                ? ending{}
                : ending{info.si_code == CLD_EXITED ? kind::exited : kind::killed, info.si_status};
  next_look_ = steady::time_point::max();
}

void child::look_at_once() {
  next_look_ = {};
  look(steady::now());
}

void child::watch(std::span<pollfd, polled> polls) const {
  polls[0] = {unsent_.empty() ? -1 : in_.write.number(), POLLOUT, 0};
  polls[1] = {out_.number(), POLLIN, 0};
  polls[2] = {err_.number(), POLLIN, 0};
}

void child::exchange(std::span<const pollfd, polled> polls, std::size_t most) {
  if (polls[0].revents != 0) flush();
  if (polls[1].revents != 0) read_stdout(most);
  if (polls[2].revents != 0) read_stderr();
}

void wait_for(std::span<child* const> children, steady::time_point until, std::size_t most) {
  std::array<pollfd, child::polled> alone{};
  std::vector<pollfd> many(children.size() > 1 ? children.size() * child::polled : 0);
  const std::span<pollfd> polls = many.empty() ? std::span<pollfd>(alone) : many;
  const auto of = [&](std::size_t k) {
    return polls.subspan(k * child::polled).first<child::polled>();
  };
  for (std::size_t k = 0; k < children.size(); ++k) {
    children[k]->watch(of(k));
    until = std::min(until, children[k]->next_look());
  }
  const steady::time_point now = steady::now();
  const auto wait = std::max<std::chrono::nanoseconds>(until - now, std::chrono::seconds(0));
  constexpr long second = 1'000'000'000;
  const timespec longest{wait.count() / second, wait.count() % second};
  const int happened = ppoll(polls.data(), polls.size(), &longest, nullptr);
  for (std::size_t k = 0; k < children.size(); ++k) {
    if (happened > 0) children[k]->exchange(of(k), most);
    children[k]->look(happened > 0 ? now : until);
  }
}

}  // namespace zo::detail::programs
