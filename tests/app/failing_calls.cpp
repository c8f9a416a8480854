// Preloaded into a program, lets one system call on the files below a folder fail: the FAIL_AT-th
// of those that open, write, flush, close, lock, rename or make them. FAIL_BELOW names the folder.
// At the end the number of such calls is written to FAIL_COUNT.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int most_files = 4096;
std::atomic<bool> watched[most_files];
std::atomic<long> calls{0};

const char* setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_below(const char* path) {
  const char* const folder = setting("FAIL_BELOW");
  return *folder != '\0' && std::strncmp(path, folder, std::strlen(folder)) == 0;
}

bool is_watched(int file) { return file >= 0 && file < most_files && watched[file]; }

void watch(int file, bool on) {
  if (file >= 0 && file < most_files) watched[file] = on;
}

/// Whether this is the call that fails.
bool fails(int error) {
  if (++calls != std::atol(setting("FAIL_AT"))) return false;
  errno = error;
  return true;
}

template <class Function>
Function* real(Function* /*same type*/, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

struct report {
  ~report() {
    const char* const path = setting("FAIL_COUNT");
    if (*path == '\0') return;
    if (std::FILE* const file = std::fopen(path, "w")) {
      std::fprintf(file, "%ld\n", calls.load());
      std::fclose(file);
    }
  }
} at_exit;

int open_below(const char* name, const char* path, int flags, mode_t mode) {
  using open_function = int(const char*, int, ...);
  const bool below = is_below(path);
  if (below && fails((flags & O_CREAT) != 0 ? ENOSPC : EIO)) return -1;
  const int file = real(static_cast<open_function*>(nullptr), name)(path, flags, mode);
  if (below) watch(file, true);
  return file;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_below("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_below("open64", path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t size) {
  if (is_watched(file) && fails(ENOSPC)) return -1;
  return real(&write, "write")(file, bytes, size);
}

ssize_t read(int file, void* bytes, size_t size) {
  if (is_watched(file) && fails(EIO)) return -1;
  return real(&read, "read")(file, bytes, size);
}

int fsync(int file) {
  if (is_watched(file) && fails(EIO)) return -1;
  return real(&fsync, "fsync")(file);
}

int flock(int file, int operation) {
  if (is_watched(file) && fails(EIO)) return -1;
  return real(&flock, "flock")(file, operation);
}

int dup(int file) {
  const bool below = is_watched(file);
  if (below && fails(EMFILE)) return -1;
  const int copy = real(&dup, "dup")(file);
  if (below) watch(copy, true);
  return copy;
}

int close(int file) {
  const bool below = is_watched(file);
  watch(file, false);
  const int result = real(&close, "close")(file);
  return below && fails(EIO) ? -1 : result;
}

int rename(const char* from, const char* to) noexcept {
  if (is_below(to) && fails(EIO)) return -1;
  return real(&rename, "rename")(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (is_below(path) && fails(ENOSPC)) return -1;
  return real(&mkdir, "mkdir")(path, mode);
}

int unlink(const char* path) noexcept {
  if (is_below(path) && fails(EIO)) return -1;
  return real(&unlink, "unlink")(path);
}

}  // extern "C"
