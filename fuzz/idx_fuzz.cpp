#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "common/idx.hpp"
#include "require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t limit = 1 << 20;
  for (const int rank : {1, 3}) {
    try {
      const app::idx_array array = app::parse_idx({data, size}, rank, "fuzz", limit);
      require(array.shape.size() == static_cast<std::size_t>(rank));
      std::uint64_t product = 1;
      for (const std::int64_t extent : array.shape) product *= static_cast<std::uint64_t>(extent);
      require(product == array.values.size() && product >= 1 && product <= limit);
    } catch (const std::runtime_error&) {  // the only way to refuse
    }
  }
  return 0;
}
