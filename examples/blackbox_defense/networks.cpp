#include "networks.hpp"

namespace defense {

namespace nn = torch::nn;

namespace {

nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t padding, bool bias = true) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding).bias(bias));
}

// Fully connected layers are written as convolutions over the whole extent: libtorch runs those in
// oneDNN, but matrix products in whatever BLAS is installed, often the slow reference one.
constexpr std::int64_t side = 7;  // of the smallest feature map, 28 / 4

}  // namespace

nn::Sequential make_classifier() {
  return nn::Sequential(convolution(1, 24, 3, 2, 1, false), nn::BatchNorm2d(24), nn::ReLU(),
                        convolution(24, 48, 3, 2, 1, false), nn::BatchNorm2d(48), nn::ReLU(),
                        convolution(48, 96, 3, 2, 1, false), nn::BatchNorm2d(96), nn::ReLU(),
                        nn::AdaptiveAvgPool2d(1), convolution(96, 10, 1, 1, 0), nn::Flatten());
}

nn::Sequential make_encoder(std::int64_t latent) {
  return nn::Sequential(convolution(1, 16, 4, 2, 1), nn::ReLU(), convolution(16, 32, 4, 2, 1),
                        nn::ReLU(), convolution(32, latent, side, 1, 0), nn::Flatten());
}

nn::Sequential make_decoder(std::int64_t latent) {
  constexpr std::int64_t width = 16;
  return nn::Sequential(nn::Unflatten(nn::UnflattenOptions(1, {latent, 1, 1})),
                        convolution(latent, width * side * side, 1, 1, 0), nn::ReLU(),
                        nn::Flatten(), nn::Unflatten(nn::UnflattenOptions(1, {width, side, side})),
                        convolution(width, 4 * width, 3, 1, 1), nn::PixelShuffle(2), nn::ReLU(),
                        convolution(width, 4, 3, 1, 1), nn::PixelShuffle(2), nn::Sigmoid());
}

dncnn_impl::dncnn_impl(std::int64_t channels, std::int64_t depth, std::int64_t width) {
  noise_->push_back(convolution(channels, width, 3, 1, 1));
  noise_->push_back(nn::ReLU());
  for (std::int64_t layer = 2; layer < depth; ++layer) {
    noise_->push_back(convolution(width, width, 3, 1, 1, false));
    noise_->push_back(nn::BatchNorm2d(nn::BatchNorm2dOptions(width).eps(1e-4).momentum(0.1)));
    noise_->push_back(nn::ReLU());
  }
  auto last = convolution(width, channels, 3, 1, 1, false);
  nn::init::zeros_(last->weight);
  noise_->push_back(last);
  register_module("dncnn", noise_);
}

torch::Tensor dncnn_impl::forward(const torch::Tensor& noisy) {
  return noisy - noise_->forward(noisy);
}

void freeze(nn::Module& module) {
  module.eval();
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(false);
}

}  // namespace defense
