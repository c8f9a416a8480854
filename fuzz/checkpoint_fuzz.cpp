#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "common/checkpoint.hpp"
#include "require.hpp"

namespace {

bool read(std::span<const std::uint8_t> file, app::safetensors& content) {
  try {
    content = app::parse_checkpoint(file, "fuzz");
    return true;
  } catch (const std::runtime_error&) {  // the only way to refuse
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  app::safetensors content;
  if (!read({data, size}, content)) return 0;
  for (const auto& [key, text] : content.metadata) {
    if (key.starts_with("zo.")) return 0;  // checksummed, but not by save_checkpoint
  }
  app::safetensors again;
  require(read(app::encode_checkpoint(content), again));
  require(again.metadata == content.metadata && again.tensors.size() == content.tensors.size());
  return 0;
}
