// A layer that only answers, in the middle of a network that LibTorch trains.
#include <torch/torch.h>

#include <cstdio>
#include <zo/torch.hpp>
#include <zo/zo.hpp>

int main() {
  torch::manual_seed(1);
  // Any program that maps rows to rows; its rounding has no useful derivative.
  const auto sensor = [](const torch::Tensor& z) { return torch::round(64 * torch::tanh(z)) / 64; };
  const zo::torch::black_box layer(sensor, zo::cge({.smoothing = 0.1}, zo::central{}));
  torch::nn::Linear before(8, 4), after(4, 1);
  std::vector<torch::Tensor> parameters = before->parameters();
  for (const auto& one : after->parameters()) parameters.push_back(one);
  torch::optim::Adam optimizer(parameters, 0.01);
  const torch::Tensor x = torch::randn({256, 8}), wanted = torch::sin(x.sum(1, true));
  torch::Tensor loss;
  for (int step = 0; step < 300; ++step) {
    optimizer.zero_grad();
    loss = (after(layer(before(x))) - wanted).square().mean();
    loss.backward();
    optimizer.step();
  }
  std::printf("loss %.3f after %ld queries\n", loss.item<double>(),
              static_cast<long>(layer.queries()));
}
