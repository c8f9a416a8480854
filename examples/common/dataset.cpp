#include "common/dataset.hpp"

#include <cstddef>
#include <cstdlib>
#include <system_error>

namespace app {

namespace fs = std::filesystem;

std::span<const std::uint8_t> image_set::image(std::int64_t i) const {
  const auto size = static_cast<std::size_t>(image_size());
  return std::span(pixels).subspan(static_cast<std::size_t>(i) * size, size);
}

std::optional<fs::path> find_data(const fs::path& option, const fs::path& system_default,
                                  const std::vector<std::string>& subdirectories,
                                  const std::string& marker) {
  std::vector<fs::path> roots;
  if (!option.empty()) {
    roots = {option};
  } else {
    const char* const environment = std::getenv("ZO_DATA_DIR");
    if (environment != nullptr && *environment != '\0') roots.emplace_back(environment);
    if (!system_default.empty()) roots.push_back(system_default);
  }
  for (const fs::path& root : roots) {
    std::error_code ignored;
    if (fs::exists(root / marker, ignored)) return root;
    for (const std::string& subdirectory : subdirectories) {
      if (fs::exists(root / subdirectory / marker, ignored)) return root / subdirectory;
    }
  }
  return std::nullopt;
}

}  // namespace app
