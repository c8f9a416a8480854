// The IDX format of MNIST and its relatives: unsigned bytes, plain or gzipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace app {

/// A row-major array of bytes. Every extent is at least 1.
struct idx_array {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;
};

/// Largest array accepted unless the caller says otherwise.
inline constexpr std::uint64_t idx_limit_bytes = std::uint64_t{1} << 30;

/// Decodes the contents of an IDX file with `rank` dimensions; gzip is recognised by its first two
/// bytes. `name` is used in messages. Memory grows with what the header announces, and only after
/// that was checked against `limit_bytes` and against what the compressed bytes can hold at all.
/// Several gzip members make one file, and zeros behind them are padding, as for gzip. Throws
/// std::runtime_error, which says what the file is, for anything but exactly one well-formed array.
idx_array parse_idx(std::span<const std::uint8_t> file, int rank, std::string_view name,
                    std::uint64_t limit_bytes = idx_limit_bytes);

/// Images, shape {count, rows, columns}. Of a file whose header is not right no more is read.
idx_array read_idx_images(const std::filesystem::path& path,
                          std::uint64_t limit_bytes = idx_limit_bytes);

/// Labels, shape {count}, each in [0, classes).
idx_array read_idx_labels(const std::filesystem::path& path, int classes,
                          std::uint64_t limit_bytes = idx_limit_bytes);

}  // namespace app
