// Sheets of small images with captions, as PNG.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace app {

/// Equally large images in rows and columns.
struct image_sheet {
  std::string title;                         ///< may be empty
  std::vector<std::string> column_captions;  ///< one per column; long ones are broken at blanks
  std::vector<std::string> row_captions;     ///< one per row, or none
  std::int64_t channels = 1;                 ///< 1 grey, 3 red green blue
  std::int64_t image_rows = 0;               ///< pixels
  std::int64_t image_columns = 0;            ///< pixels
  /// Row after row of the sheet; each image is channels x image_rows x image_columns.
  std::vector<std::vector<std::uint8_t>> images;
  std::int64_t scale = 4;  ///< every image pixel becomes scale x scale pixels
};

/// Values in [0, 1] as bytes: clamped and rounded, NaN as 0.
std::vector<std::uint8_t> to_bytes(std::span<const float> values);

/// The sheet as the bytes of a PNG file. Captions are ASCII; other characters show as '?'.
/// Throws std::invalid_argument when sizes or numbers do not fit together, or when the picture
/// would have more than 100 million pixels.
std::vector<std::uint8_t> encode_png(const image_sheet& sheet);

/// Writes atomically.
void write_image_sheet(const std::filesystem::path& path, const image_sheet& sheet);

}  // namespace app
