// The results of a program on its standard output, which may be a full disk or a closed pipe.
#pragma once

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <system_error>

namespace app {

/// Throws std::runtime_error with a sentence unless all that was printed has arrived. To be called
/// when a program has printed its results: what nobody can read is a failure.
inline void require_printed() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  const int error = errno;
  std::string cause;
  if (error != 0) cause = ": " + std::generic_category().message(error);
  throw std::runtime_error("cannot print the results" + cause +
                           "; give the standard output a place that takes them");
}

}  // namespace app
