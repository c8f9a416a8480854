#include "network.hpp"

#include <cmath>
#include <span>
#include <zo/direction.hpp>

namespace wake {

namespace {

using torch::Tensor;
using torch::indexing::None;
using torch::indexing::Slice;

constexpr std::int64_t inputs = 3;  // two velocities, and the viscosity
constexpr std::int64_t outputs = 2;
constexpr double slope = 0.2;
constexpr double reach = 0.1;  // corrections are small: weights of the order of 1 make them so

struct layer {
  std::int64_t in, out;
};

std::vector<layer> layers_of(const network& n) {
  std::vector<layer> layers = {{inputs, n.channels}};
  layers.insert(layers.end(), static_cast<std::size_t>(2 * n.blocks), {n.channels, n.channels});
  layers.push_back({n.channels, outputs});
  return layers;
}

std::int64_t weights_of(const layer& l, const network& n) {
  return l.out * l.in * n.kernel * n.kernel;
}

// Reads the layers' weights off the row, one after the other.
class reader {
 public:
  reader(const network& n, const Tensor& weights) : network_(n), weights_(weights) {}

  // values: B x Q in x rows x columns
  Tensor convolved(const layer& l, const Tensor& values) {
    const std::int64_t candidates = weights_.size(0), k = network_.kernel;
    const Tensor w = next(weights_of(l, network_)).reshape({candidates * l.out, l.in, k, k});
    const Tensor b = next(l.out).reshape({candidates * l.out});
    const std::int64_t rim = k / 2;
    const Tensor above = values.index({"...", Slice(-rim, None), Slice()});
    const Tensor below = values.index({"...", Slice(None, rim), Slice()});
    const Tensor wrapped = rim > 0 ? torch::cat({above, values, below}, -2) : values;
    return torch::conv2d(wrapped, w, b, 1, torch::IntArrayRef({0, rim}), 1, candidates);
  }

 private:
  Tensor next(std::int64_t numbers) {
    const Tensor some = weights_.slice(1, at_, at_ + numbers);
    at_ += numbers;
    return some;
  }

  const network& network_;
  const Tensor& weights_;
  std::int64_t at_ = 0;
};

}  // namespace

std::int64_t network::parameters() const {
  std::int64_t sum = 0;
  for (const layer& l : layers_of(*this)) sum += weights_of(l, *this) + l.out;
  return sum;
}

std::vector<float> network::initial(std::uint64_t seed) const {
  std::vector<float> weights(static_cast<std::size_t>(parameters()));
  zo::fill_direction(zo::gaussian{}, {seed}, std::span<float>(weights));
  const auto layers = layers_of(*this);
  std::size_t at = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto fan_in = static_cast<double>(layers[i].in * kernel * kernel);
    const double scale = std::sqrt(2 / fan_in) * (i + 1 == layers.size() ? 0.1 : 1);
    const auto biases = static_cast<std::size_t>(weights_of(layers[i], *this)) + at;
    for (; at < biases; ++at) weights[at] *= static_cast<float>(scale);
    const auto next = biases + static_cast<std::size_t>(layers[i].out);
    for (; at < next; ++at) weights[at] = 0;
  }
  return weights;
}

Tensor network::correction(const Tensor& weights, const Tensor& states,
                           const Tensor& viscosities) const {
  const std::int64_t count = states.size(0), candidates = states.size(1);
  const std::int64_t rows = states.size(3), columns = states.size(4);
  const auto layers = layers_of(*this);
  reader read(*this, weights);
  // Of the order of 1: powers of e from Reynolds number 200 on.
  const Tensor thickness =
      (viscosities.to(states.scalar_type()) * 200).log().view({-1, 1, 1, 1, 1});
  Tensor x = torch::cat({states, thickness.expand({count, candidates, 1, rows, columns})}, 2)
                 .reshape({count, candidates * inputs, rows, columns});
  x = torch::leaky_relu(read.convolved(layers.front(), x), slope);
  for (std::int64_t b = 0; b < blocks; ++b) {
    const layer& within = layers[1];
    const Tensor inner = torch::leaky_relu(read.convolved(within, x), slope);
    x = torch::leaky_relu(x + read.convolved(within, inner), slope);
  }
  return reach *
         read.convolved(layers.back(), x).reshape({count, candidates, outputs, rows, columns});
}

}  // namespace wake
