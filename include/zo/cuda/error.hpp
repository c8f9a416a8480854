// Checked CUDA calls. Plain C++: no nvcc is needed.
#pragma once

#include <stdexcept>
#include <string>

#include "zo/cuda/device_code.hpp"

namespace zo::cuda {

/// A CUDA call that failed: which, where and why.
class [[gnu::visibility("default")]] error : public std::runtime_error {
 public:
  error(const std::string& what, cudaError_t code) : std::runtime_error(what), code_(code) {}

  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

namespace detail {

/// Throws zo::cuda::error unless `result` is success.
inline void check(cudaError_t result, const char* call, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (result == cudaSuccess) return;
  throw error(std::string("zo::cuda: ") + call + " failed at " + file + ":" + std::to_string(line) +
                  ": " + cudaGetErrorString(result) + " (" + cudaGetErrorName(result) + ")",
              result);
}

}  // namespace detail
}  // namespace zo::cuda
