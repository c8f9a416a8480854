// Who ends the programs when this one is killed and can do nothing itself.
#pragma once

#include <sys/types.h>

#include "process/descriptor.hpp"

namespace zo::detail::programs {

/// A /bin/sh that is told which process groups run, and kills them when nobody is left who could
/// tell. Linux's PR_SET_PDEATHSIG would not do: it acts when the thread ends that started a
/// program, and knows nothing of what the program has started.
class guardian {
 public:
  /// Throws process_error where there is no /bin/sh.
  guardian();
  guardian(const guardian&) = delete;
  guardian& operator=(const guardian&) = delete;
  ~guardian();

  /// Where it is told (spawn, kill_and_reap).
  const descriptor& herald() const { return herald_; }

 private:
  descriptor herald_;
  pid_t process_ = 0;
};

}  // namespace zo::detail::programs
