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

/// A file of a data set that is called one of `names`: in the first of `option`, $ZO_DATA_DIR and
/// `system_default` (each skipped when empty), and of their subdirectories `subdirectories`, that
/// holds one. A non-empty `option` is what the user asked for: nothing else is looked at then.
std::optional<std::filesystem::path> find_data(const std::filesystem::path& option,
                                               const std::filesystem::path& system_default,
                                               const std::vector<std::string>& subdirectories,
                                               const std::vector<std::string>& names);

/// What a folder holds, for the sentence about a file that is missing there: "which holds "a" and
/// "b"", "which is empty", "which does not exist".
std::string contents_of(const std::filesystem::path& folder);

}  // namespace app
