// Checkpoints of long runs: a safetensors file that knows its version and its own checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "common/safetensors.hpp"

namespace app {

/// Writes `content` to `path` atomically, together with a format version and a checksum over every
/// name, shape, element and metadata text. Metadata keys that begin with "zo." are reserved.
/// The file opens in every safetensors reader.
void save_checkpoint(const std::filesystem::path& path, const safetensors& content);

/// What save_checkpoint wrote. Throws std::runtime_error that says what to do when the file is
/// missing, cut off, altered, of another version, or no checkpoint at all; never writes.
safetensors load_checkpoint(const std::filesystem::path& path,
                            std::uint64_t limit_bytes = safetensors_limit_bytes);

/// The two steps without the file, for tests and fuzzing.
std::vector<std::uint8_t> encode_checkpoint(safetensors content);
safetensors parse_checkpoint(std::span<const std::uint8_t> file, std::string_view source);

}  // namespace app
