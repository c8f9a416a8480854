// Adam (Kingma and Ba 2015) with its state in plain tensors, so that a checkpoint can hold it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace defense {

struct adam {
  explicit adam(std::vector<torch::Tensor> trained);

  /// One update at learning rate `rate` from the gradients of the parameters, which are cleared.
  void step(double rate);

  std::vector<torch::Tensor> parameters;
  std::vector<torch::Tensor> mean;    ///< running mean of the gradient, decay 0.9
  std::vector<torch::Tensor> square;  ///< running mean of its square, decay 0.999
  std::int64_t steps = 0;
};

}  // namespace defense
