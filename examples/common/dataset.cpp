#include "common/dataset.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <system_error>

#include "common/text.hpp"

namespace app {

namespace fs = std::filesystem;

std::span<const std::uint8_t> image_set::image(std::int64_t i) const {
  const auto size = static_cast<std::size_t>(image_size());
  return std::span(pixels).subspan(static_cast<std::size_t>(i) * size, size);
}

std::optional<fs::path> find_data(const fs::path& option, const fs::path& system_default,
                                  const std::vector<std::string>& subdirectories,
                                  const std::vector<std::string>& names) {
  std::vector<fs::path> roots;
  if (!option.empty()) {
    roots = {option};
  } else {
    const char* const environment = std::getenv("ZO_DATA_DIR");
    if (environment != nullptr && *environment != '\0') roots.emplace_back(environment);
    if (!system_default.empty()) roots.push_back(system_default);
  }
  for (const fs::path& root : roots) {
    std::vector<fs::path> folders = {root};
    for (const std::string& subdirectory : subdirectories) folders.push_back(root / subdirectory);
    for (const fs::path& folder : folders) {
      for (const std::string& name : names) {
        std::error_code ignored;
        if (fs::exists(folder / name, ignored)) return folder / name;
      }
    }
  }
  return std::nullopt;
}

std::string contents_of(const fs::path& folder) {
  constexpr std::size_t shown = 5;
  std::error_code error;
  if (!fs::exists(folder, error)) return "which does not exist";
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  if (error) return "which is no folder that can be read";
  if (names.empty()) return "which is empty";
  std::ranges::sort(names);
  std::string text = "which holds ";
  for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) {
    const bool last = i + 1 == names.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + in_quotes(names[i]);
  }
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

}  // namespace app
