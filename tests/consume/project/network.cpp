// One estimate through a network: a linear map of one number, whose slopes are known.
#include <cmath>
#include <cstdio>
#include <vector>
#include <zo/nn/objective.hpp>
#include <zo/zo.hpp>

int main() {
  namespace nn = zo::nn;
  nn::network net({1, 1, 1});
  net.linear(net.input(), "map", 1);
  const std::vector<double> inputs{3};
  std::vector<double> x{2, 0}, statistics, gradient(2);  // weight, bias
  nn::objective<double, nn::squared_error> f(
      net,
      [&](zo::sample_id) {
        return nn::minibatch<double, nn::squared_error>{inputs, 1, nn::squared_error({5.0})};
      },
      statistics);
  zo::estimate(zo::seq, f, x, gradient, zo::cge({.smoothing = 1e-6}, zo::central{}));
  std::printf("slopes %.6f, %.6f, %s\n", gradient[0], gradient[1], zo::instruction_set());
  const double wrong = std::abs(gradient[0] - 6) + std::abs(gradient[1] - 2);  // of (3 w + b - 5)^2
  return wrong < 1e-6 ? 0 : 1;
}
