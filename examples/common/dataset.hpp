// Labelled images in memory, and where to look for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace app {

enum class split { train, test };

/// Labelled 8-bit images. `pixels` is row-major count x channels x rows x columns.
struct image_set {
  std::int64_t count = 0;
  std::int64_t channels = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;

  std::int64_t image_size() const { return channels * rows * columns; }
  /// Image `i` as channels x rows x columns values; `i` must be in [0, count).
  std::span<const std::uint8_t> image(std::int64_t i) const;
};

/// The first of `option`, $ZO_DATA_DIR and `system_default` (each skipped when empty), and its
/// subdirectories `subdirectories`, that holds the file `marker`. A non-empty `option` is what the
/// user asked for: nothing else is looked at then. Empty when none holds it.
std::optional<std::filesystem::path> find_data(const std::filesystem::path& option,
                                               const std::filesystem::path& system_default,
                                               const std::vector<std::string>& subdirectories,
                                               const std::string& marker);

}  // namespace app
