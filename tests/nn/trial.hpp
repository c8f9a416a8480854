// A small network with data, as an objective and by whole evaluations in double.
#pragma once

#include "support.hpp"
#include "zo/nn/objective.hpp"

namespace testing_nn {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

template <class T>
std::vector<T> noise(index_t count, std::uint64_t seed, double scale = 1) {
  std::vector<T> values;
  for (index_t i = 0; i < count; ++i) {
    values.push_back(static_cast<T>(
        scale * static_cast<double>(zo::detail::raw_value<zo::gaussian>({seed, 0, 0}, i))));
  }
  return values;
}

// The loss of one minibatch as an objective, and the same by whole evaluations in double.
struct trial {
  nn::network net;
  index_t count;
  nn::norm_mode mode;
  std::vector<double> parameters, statistics, inputs;
  std::vector<index_t> targets;

  trial(nn::network described, index_t samples, nn::norm_mode how)
      : net(std::move(described)), count(samples), mode(how) {
    parameters.resize(static_cast<std::size_t>(net.parameter_count()));
    statistics.resize(static_cast<std::size_t>(net.statistic_count()));
    nn::initialize<double>(net, nn::initialization::kaiming_uniform, 3, parameters);
    nn::initialize_statistics<double>(net, statistics);
    // Batch norms that are not trivial.
    const std::vector<double> off = noise<double>(net.parameter_count(), 5, 0.1);
    for (std::size_t i = 0; i < off.size(); ++i) parameters[i] += off[i];
    for (double& s : statistics) s += 0.25;
    inputs = noise<double>(count * net.nodes().front().out.size(), 7);
    for (index_t b = 0; b < count; ++b) targets.push_back(b % net.output().size());
  }

  double loss(const std::vector<double>& at) const {
    nn::forward_pass<double> pass(net);
    pass.run(zo::seq, at, statistics, inputs, count, mode);
    nn::cross_entropy loss(targets, net.output().size());
    return loss.prepare<double>(pass.outputs());
  }

  /// By central differences of whole evaluations.
  std::vector<double> gradient(double step = 1e-5) const {
    std::vector<double> at = parameters, slopes;
    for (double& p : at) {
      const double was = p;
      p = was + step;
      const double up = loss(at);
      p = was - step;
      slopes.push_back((up - loss(at)) / (2 * step));
      p = was;
    }
    return slopes;
  }

  template <class T>
  nn::minibatch<T> batch() const {
    return {{inputs.begin(), inputs.end()}, count, nn::cross_entropy(targets, net.output().size())};
  }

  template <class T>
  nn::objective<T> objective(std::span<const T> running) const {
    return nn::objective<T>(net, [this](zo::sample_id) { return batch<T>(); }, running,
                            {.mode = mode});
  }
};

// Every kind of layer but option A.
inline nn::network mixture() {
  nn::network net({2, 9, 7});
  index_t x = net.convolution(net.input(), "a", {.channels = 4, .kernel = 3, .bias = true});
  x = net.relu(net.batch_norm(x, "an"));
  const index_t shortcut =
      net.convolution(x, "p", {.channels = 6, .kernel = 1, .stride = 2, .padding = 0});
  x = net.convolution(x, "b", {.channels = 6, .kernel = 5, .stride = 2, .padding = 2});
  x = net.add(net.batch_norm(x, "bn"), shortcut);
  x = net.max_pool(x, {.kernel = 2, .stride = 1});
  x = net.average_pool(x, {.kernel = 2, .stride = 2});
  x = net.relu(net.linear(x, "c", 11));
  net.linear(x, "d", 5);
  return net;
}

}  // namespace testing_nn
