// The trained CIFAR-10 networks: ResNet-20, and the autoencoder published with ZO-AE-DS.
#pragma once

#include <torch/torch.h>

#include "common/safetensors.hpp"

namespace defense {

/// ResNet-20 for CIFAR (He et al. 2016): (B, 3, 32, 32) in [0, 1] -> (B, 10) logits. Input
/// normalisation is part of it, so that noise and radii are in pixels. Shortcuts of option A:
/// every second pixel, and zeros for the new channels. 41 M multiply-adds per image.
class resnet20_impl : public torch::nn::Module {
 public:
  resnet20_impl();
  torch::Tensor forward(const torch::Tensor& images);

  torch::nn::Conv2d conv1{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr};
  torch::nn::Sequential layer1{nullptr}, layer2{nullptr}, layer3{nullptr};
  torch::nn::Linear linear{nullptr};
};
TORCH_MODULE_IMPL(resnet20, resnet20_impl);

/// (B, 3, 32, 32) -> (B, 192), the published "192_24" encoder.
torch::nn::Sequential make_cifar_encoder();

/// Its decoder: (B, 192) -> (B, 3, 32, 32) in [0, 1].
torch::nn::Sequential make_cifar_decoder();

/// Copies weights into `module`: parameter or buffer "a.b" from tensor "<prefix>a.b". Counters of
/// seen batches are not part of weight files. Throws std::runtime_error when a tensor is missing or
/// has another shape.
void load_weights(torch::nn::Module& module, const app::safetensors& file,
                  const std::string& prefix);

}  // namespace defense
