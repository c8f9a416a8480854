// Checkpoints of long runs: a safetensors file that knows its version and its own checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
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

/// Whether the regular file at `path` says that it is a checkpoint. Looks at its header only.
bool is_checkpoint(const std::filesystem::path& path);

/// A run cannot go on from a file, and what to do.
struct cannot_resume : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws cannot_resume about the file `source`.
[[noreturn]] void refuse_checkpoint(std::string_view source, const std::string& why);

/// Calls load(), which takes the contents of the checkpoint `source` over. What that throws about
/// tensors, without knowing the file, becomes a refusal of the file.
template <class Load>
void take_over(std::string_view source, const Load& load) {
  std::string why;
  try {
    load();
    return;
  } catch (const cannot_resume&) {
    throw;
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (why.ends_with('.')) why.pop_back();
  refuse_checkpoint(source, why);
}

/// The two steps without the file, for tests and fuzzing.
std::vector<std::uint8_t> encode_checkpoint(safetensors content);
safetensors parse_checkpoint(std::span<const std::uint8_t> file, std::string_view source);

}  // namespace app
