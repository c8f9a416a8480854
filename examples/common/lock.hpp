// One program at a time for a folder of results.
#pragma once

#include <filesystem>
#include <string>

namespace app {

/// Holds `folder` for this process, from the constructor to the destructor or the end of the
/// process, however that comes: the lock is the system's, on the file ".lock", and none stays
/// behind.
class folder_lock {
 public:
  /// Makes the folder. Throws std::runtime_error with a sentence that names the process that holds
  /// it, and where the file cannot be written.
  explicit folder_lock(const std::filesystem::path& folder);
  ~folder_lock();
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

  /// A sentence for the user where the file system has no locks; otherwise empty.
  const std::string& warning() const { return warning_; }

 private:
  int file_ = -1;
  std::string warning_;
};

}  // namespace app
