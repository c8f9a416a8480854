#include "adam.hpp"

#include <cmath>
#include <utility>

namespace defense {

adam::adam(std::vector<torch::Tensor> trained) : parameters(std::move(trained)) {
  for (const auto& parameter : parameters) {
    mean.push_back(torch::zeros_like(parameter.detach()));
    square.push_back(torch::zeros_like(parameter.detach()));
  }
}

void adam::step(double rate) {
  const torch::NoGradGuard no_gradient;
  constexpr double decay1 = 0.9;
  constexpr double decay2 = 0.999;
  constexpr double epsilon = 1e-8;
  steps += 1;
  const double correction1 = 1 - std::pow(decay1, steps);
  const double correction2 = 1 - std::pow(decay2, steps);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    torch::Tensor gradient = parameters[i].grad();
    if (!gradient.defined()) continue;
    mean[i].mul_(decay1).add_(gradient, 1 - decay1);
    square[i].mul_(decay2).addcmul_(gradient, gradient, 1 - decay2);
    const auto size = (square[i] / correction2).sqrt_().add_(epsilon);
    parameters[i].addcdiv_(mean[i], size, -rate / correction1);
    gradient.zero_();
  }
}

}  // namespace defense
