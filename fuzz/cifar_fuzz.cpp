#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "common/cifar.hpp"
#include "require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  app::image_set images;
  try {
    app::append_cifar10_batch({data, size}, static_cast<std::int64_t>(size / 3073), "fuzz", images);
    require(size % 3073 == 0 && images.count == static_cast<std::int64_t>(size / 3073));
    require(images.pixels.size() + images.labels.size() == size);
    for (const std::uint8_t label : images.labels) require(label <= 9);
  } catch (const std::runtime_error&) {  // the only way to refuse
    require(images.count == 0 && images.pixels.empty() && images.labels.empty());
  }
  return 0;
}
