#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "common/safetensors.hpp"
#include "require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  app::safetensors content;
  try {
    content = app::parse_safetensors({data, size}, "fuzz");
  } catch (const std::runtime_error&) {  // the only way to refuse
    return 0;
  }
  // What was accepted can be written and means the same when read again.
  const app::safetensors again = app::parse_safetensors(app::encode_safetensors(content), "again");
  require(again.metadata == content.metadata);
  require(again.tensors.size() == content.tensors.size());
  std::size_t payload = 0;
  for (const app::tensor& each : content.tensors) {
    require(again.at(each.name) == each);
    payload += each.bytes.size();
  }
  require(payload < size);
  return 0;
}
