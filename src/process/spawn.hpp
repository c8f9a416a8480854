// Starting a program: what happens between its parent and exec.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "process/descriptor.hpp"

namespace zo::detail::programs {

/// A program that is about to start: what belongs to all programs of one command.
struct recipe {
  std::string path;                      // of the file to be executed
  std::vector<std::string> environment;  // all of it
  std::string folder;                    // to work in; empty: this one
};

/// Starts the program as the leader of a process group of its own, with its stdin, stdout and
/// stderr at these descriptors. "+ GROUP" is written to the socket `herald`, if it is open, before
/// the program runs. Returns its process, which is its group too. Throws std::system_error where it
/// cannot be started.
pid_t spawn(const recipe& what, const std::vector<std::string>& arguments, const descriptor& in,
            const descriptor& out, const descriptor& err, const descriptor& herald);

/// Kills all of a group whose leader is not reaped yet, writes "- GROUP", and waits for the leader:
/// then its number can become another's.
void kill_and_reap(pid_t group, const descriptor& herald) noexcept;

}  // namespace zo::detail::programs
