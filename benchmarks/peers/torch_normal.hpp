// PyTorch's own normal numbers: Tensor::normal_() through LibTorch.
#pragma once

#include <cstdint>
#include <functional>

namespace peers {

/// Fills a float tensor of `count` elements with standard normals on one thread, a call at a time.
/// Empty in a build without LibTorch.
std::function<void()> torch_normal(std::int64_t count);

}  // namespace peers
