// Whole files in and out: reading with a size limit, writing that never leaves half a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace app {

/// All bytes of the file at `path`. Refuses, with std::runtime_error naming the file and the cause,
/// what cannot be read, is a directory, or holds more than `limit_bytes`.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uint64_t limit_bytes);

/// Makes the file at `path` hold exactly `bytes`, or leaves it as it was.
/// The bytes go to ".<name>.tmp" in the same directory, are flushed to the disk, and only then
/// renamed over `path`: a full disk, a crash, kill -9 or Ctrl-C at any moment leaves the old file
/// or the new one, never a mixture. A second writer of the same path waits for the first; what a
/// killed writer left in the temporary file is reused, so leftovers never pile up. A symbolic link
/// is followed. Throws std::runtime_error that says what to do.
void write_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// The atomic move behind write_atomically, for files made by another program: flushes
/// `finished` to the disk and renames it to `path` in the same directory.
void replace_file(const std::filesystem::path& finished, const std::filesystem::path& path);

/// Creates `directory` and its parents; throws std::runtime_error that says what to do.
void make_directories(const std::filesystem::path& directory);

namespace detail {
/// Writes all of `bytes` to `descriptor`; throws the sentence about `path` when it cannot.
void write_all(int descriptor, std::span<const std::uint8_t> bytes,
               const std::filesystem::path& path);
}  // namespace detail

}  // namespace app
