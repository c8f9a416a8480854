// Checked CUDA calls. Plain C++: no nvcc is needed.
#pragma once

#if !__has_include(<cuda_runtime_api.h>)
#error \
    "zo/cuda.hpp needs the CUDA Toolkit: install it and link zo::cuda (find_package(zo COMPONENTS cuda)), or include zo/zo.hpp and use zo::par."
#endif
#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

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
