#include "torch_normal.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace peers {

std::function<void()> torch_normal(std::int64_t count) {
  at::set_num_threads(1);
  at::Tensor tensor = at::empty({count}, at::kFloat);
  return [tensor]() mutable {
    const c10::InferenceMode no_autograd;
    tensor.normal_();
  };
}

}  // namespace peers
