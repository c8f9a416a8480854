// File descriptors that close themselves, are not inherited and never lie at 0, 1 or 2, where a
// program that is started will have its own.
#pragma once

#include <utility>

namespace zo::detail::programs {

class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& from) noexcept : number_(std::exchange(from.number_, -1)) {}
  descriptor& operator=(descriptor&& from) noexcept {
    std::swap(number_, from.number_);
    return *this;
  }
  ~descriptor() { close(); }

  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }
  void close() noexcept;

 private:
  int number_ = -1;
};

struct pipe_ends {
  descriptor read, write;
};

/// Throw std::system_error where there are no more descriptors.
pipe_ends make_pipe();
pipe_ends make_socket_pair();  // both ends do both
descriptor open_null();
void never_wait(const descriptor& end);

}  // namespace zo::detail::programs
