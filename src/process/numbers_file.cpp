#include "process/numbers_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "process/descriptor.hpp"
#include "process/text.hpp"
#include "zo/process.hpp"

namespace zo::detail::programs {

numbers_file::numbers_file(std::string_view line) {
  const char* const folder = std::getenv("TMPDIR");
  name_ = std::string(folder != nullptr && *folder != '\0' ? folder : "/tmp") + "/zo-XXXXXX";
  const descriptor file(mkostemp(name_.data(), O_CLOEXEC));
  std::string text = std::string(line) + "\n";
  std::ranges::replace(text, ' ', '\n');
  std::string_view rest = text;
  while (file.is_open() && !rest.empty()) {
    const ssize_t written = write(file.number(), rest.data(), rest.size());
    if (written < 0 && errno != EINTR) break;
    rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
  if (rest.empty()) return;
  const std::string why = std::generic_category().message(errno);
  if (file.is_open()) unlink(name_.c_str());
  throw process_error("zo::process: the file of numbers " + quoted(name_) +
                      " cannot be written: " + why + "; TMPDIR says where it is");
}

numbers_file::~numbers_file() { unlink(name_.c_str()); }

}  // namespace zo::detail::programs
