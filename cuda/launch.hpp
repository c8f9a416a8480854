// Geometry of a launch as pure functions, and checked calls. Plain C++: no nvcc is needed.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "zo/config.hpp"

namespace zo::cuda {

/// A CUDA call that failed: which, where and why.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// Throws zo::cuda::error unless `result` is success.
inline void check(cudaError_t result, const char* call, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (result == cudaSuccess) return;
  throw error(std::string("zo::cuda: ") + call + " failed at " + file + ":" + std::to_string(line) +
              ": " + cudaGetErrorString(result) + " (" + cudaGetErrorName(result) + ")");
}

struct launch_shape {
  unsigned blocks = 1;
  unsigned threads = 256;
};

/// A grid of at most `most_blocks`; every thread walks on by the size of the grid until all items
/// are done. Items are independent, so no result depends on the shape.
constexpr launch_shape shape_for(index items, index most_blocks) {
  constexpr index threads = 256;
  const index blocks = std::clamp((items + threads - 1) / threads, index{1}, most_blocks);
  return {static_cast<unsigned>(blocks), static_cast<unsigned>(threads)};
}

}  // namespace detail
}  // namespace zo::cuda
