// Files and bytes of saved runs.
#include "zo/ask.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <istream>
#include <iterator>
#include <system_error>

namespace zo::detail {

namespace {

constexpr std::string_view head = "zo run 2\n";

std::uint64_t sum_of(std::string_view bytes) {
  return fingerprint().add(std::span(bytes.data(), bytes.size())).value();
}

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw std::system_error(errno, std::generic_category(), "zo::ask: " + what + " " + path);
}

}  // namespace

saved_bytes::saved_bytes(std::string bytes) : bytes_(std::move(bytes)), at_(head.size()) {
  require(std::string_view(bytes_).starts_with(head), "zo::ask: this is not a saved run");
  const std::size_t tail = sizeof(std::uint64_t);
  require(bytes_.size() >= head.size() + tail, "zo::ask: the saved run is cut off");
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes_.data() + bytes_.size() - tail, tail);
  bytes_.resize(bytes_.size() - tail);
  require(sum == sum_of(bytes_), "zo::ask: the saved run is damaged: its sum does not match");
}

void saved_bytes::rewind() { at_ = head.size(); }

std::string saved_bytes::finish() const {
  std::string all = std::string(head) + bytes_;
  const std::uint64_t sum = sum_of(all);
  all.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  return all;
}

void saved_bytes::take(void* to, std::size_t count) {
  expect(count <= left());
  if (count > 0 && to != nullptr) std::memcpy(to, bytes_.data() + at_, count);
  at_ += count;
}

void saved_bytes::expect(bool holds) {
  require(holds, "zo::ask: the saved run is of another kind: it has other sizes");
}

void replace_file(const std::string& path, const std::string& bytes) {
  const std::string fresh = path + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail("cannot write", fresh);
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ::ssize_t some = ::write(file, bytes.data() + written, bytes.size() - written);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) {
      const int why = errno;
      ::close(file);
      ::unlink(fresh.c_str());
      errno = why;
      fail("cannot write", fresh);
    }
    written += static_cast<std::size_t>(some);
  }
  const bool kept = ::fsync(file) == 0;
  const bool closed = ::close(file) == 0;
  if (!kept || !closed) fail("cannot write", fresh);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) fail("cannot replace", path);
}

std::string whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read", path);
  return whole_stream(file);
}

std::string whole_stream(std::istream& from) {
  return {std::istreambuf_iterator<char>(from), std::istreambuf_iterator<char>()};
}

}  // namespace zo::detail
