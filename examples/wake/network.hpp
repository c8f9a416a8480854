// The network that corrects a coarse step, as a function of its weights in one flat row, so that
// many candidates of the weights can be asked at once.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace wake {

/// A convolution into `channels`, `blocks` residual blocks of two convolutions, and one out of it;
/// all of kernel x kernel, periodic across the flow, leaky ReLU between (Um et al. 2020).
struct network {
  std::int64_t channels = 8;
  std::int64_t kernel = 3;
  std::int64_t blocks = 1;

  std::int64_t parameters() const;

  /// He's initial weights; those of the last convolution are a tenth, so that training begins near
  /// no correction. The bits follow from the seed.
  std::vector<float> initial(std::uint64_t seed) const;

  /// weights: Q x parameters(); states: B x Q x 2 x rows x columns; viscosities: B numbers. The
  /// correction to each velocity, shaped as the states.
  torch::Tensor correction(const torch::Tensor& weights, const torch::Tensor& states,
                           const torch::Tensor& viscosities) const;
};

}  // namespace wake
