// Difference propagation against whole evaluations in double: every kind of layer, every position.
#include "zo/nn/objective.hpp"

#include <limits>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index;
namespace nn = zo::nn;

template <class T>
std::vector<T> noise(index count, std::uint64_t seed, double scale = 1) {
  std::vector<T> values;
  for (index i = 0; i < count; ++i) {
    values.push_back(static_cast<T>(scale * static_cast<double>(zo::detail::raw_value(
                                                zo::detail::law::gaussian, {seed, 0, 0}, i))));
  }
  return values;
}

// The loss of one minibatch as an objective, and the same by whole evaluations in double.
struct trial {
  nn::network net;
  index count;
  nn::norm_mode mode;
  std::vector<double> parameters, statistics, inputs;
  std::vector<index> targets;

  trial(nn::network described, index samples, nn::norm_mode how)
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
    for (index b = 0; b < count; ++b) targets.push_back(b % net.output().size());
  }

  double loss(const std::vector<double>& at) const {
    nn::forward_pass<double> pass(net);
    pass.run(at, statistics, inputs, count, mode);
    nn::cross_entropy loss(targets, net.output().size());
    return loss.prepare<double>(pass.outputs());
  }

  template <class T>
  nn::objective<T> objective(std::span<const T> running, int threads = 1) const {
    return nn::objective<T>(net,
                            [this](zo::sample_id) {
                              return nn::minibatch<T>{
                                  {inputs.begin(), inputs.end()},
                                  count,
                                  nn::cross_entropy(targets, net.output().size())};
                            },
                            running, {.mode = mode, .threads = threads});
  }
};

// Differences of every parameter tensor's first, middle and last element, at a large and a tiny
// step, against subtraction in double where subtraction can be trusted.
template <class T>
void expect_differences(const trial& t, double step, double relative) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  auto f = t.objective<T>(running);
  const double base = f.prepare(at, 0);
  EXPECT_NEAR(base, t.loss(t.parameters), 1e-5 * base);
  for (const nn::view& v : t.net.parameters()) {
    for (const index element : {index{0}, v.size / 2, v.size - 1}) {
      for (const double side : {1.0, -1.0}) {
        const index coordinate = v.offset + element;
        const T h = static_cast<T>(side * step);
        std::vector<double> up = t.parameters;
        up[static_cast<std::size_t>(coordinate)] += static_cast<double>(h);
        const double expected = t.loss(up) - t.loss(t.parameters);
        double found = 0;
        f.probe({&coordinate, 1}, {&h, 1}, {&found, 1});
        // A bias before a batch norm changes nothing: what is left is the rounding of its step.
        const double rounding = static_cast<double>(std::numeric_limits<T>::epsilon()) * step;
        EXPECT_NEAR(found, expected, relative * std::abs(expected) + rounding + 1e-14)
            << v.name << " " << element;
      }
    }
  }
}

nn::network small_resnet() { return nn::resnet(8); }

nn::network mixture() {
  nn::network net({2, 9, 7});
  index x = net.convolution(net.input(), "a", {.channels = 4, .kernel = 3, .bias = true});
  x = net.relu(net.batch_norm(x, "an"));
  const index shortcut =
      net.convolution(x, "p", {.channels = 6, .kernel = 1, .stride = 2, .padding = 0});
  x = net.convolution(x, "b", {.channels = 6, .kernel = 5, .stride = 2, .padding = 2});
  x = net.add(net.batch_norm(x, "bn"), shortcut);
  x = net.max_pool(x, {.kernel = 2, .stride = 1});
  x = net.average_pool(x, {.kernel = 2, .stride = 2});
  x = net.relu(net.linear(x, "c", 11));
  net.linear(x, "d", 5);
  return net;
}

TEST(nn_difference, equals_whole_evaluations_for_every_layer) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    expect_differences<double>(trial(mixture(), 6, mode), 1e-3, 1e-9);
    expect_differences<double>(trial(nn::adjustable_cnn({3, 16, 16}, 5, 2), 4, mode), 1e-3, 1e-9);
    expect_differences<double>(trial(nn::mlp({12, 9, 4}), 5, mode), 1e-3, 1e-9);
    expect_differences<float>(trial(mixture(), 6, mode), 1e-2, 2e-4);
  }
  expect_differences<double>(trial(small_resnet(), 2, nn::norm_mode::train), 1e-3, 1e-8);
}

// A step of 1e-9 in float: subtraction of two losses would be noise.
TEST(nn_difference, tiny_steps_in_float_are_derivatives) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  auto f = t.objective<float>(running);
  f.prepare(at, 0);
  double dots = 0, ours = 0, theirs = 0;
  for (const nn::view& v : t.net.parameters()) {
    for (index element = 0; element < v.size; element += 7) {
      const index coordinate = v.offset + element;
      const float h = 1e-9F;
      double found = 0;
      f.probe({&coordinate, 1}, {&h, 1}, {&found, 1});
      std::vector<double> up = t.parameters, down = t.parameters;
      up[static_cast<std::size_t>(coordinate)] += 1e-5;
      down[static_cast<std::size_t>(coordinate)] -= 1e-5;
      const double slope = (t.loss(up) - t.loss(down)) / 2e-5;
      found /= static_cast<double>(h);
      dots += slope * found;
      ours += found * found;
      theirs += slope * slope;
    }
  }
  EXPECT_GT(dots / std::sqrt(ours * theirs), 0.99999);
}

TEST(nn_difference, cge_of_the_network_is_cge_of_whole_evaluations) {
  const trial t(nn::mlp({6, 5, 3}), 4, nn::norm_mode::train);
  auto f = t.objective<double>(t.statistics);
  const auto whole = [&](std::span<const double> at) { return t.loss({at.begin(), at.end()}); };
  std::vector<double> by_parts(t.parameters.size()), by_wholes(t.parameters.size());
  const zo::cge how({.smoothing = 1e-4}, zo::central{});
  zo::estimate(zo::seq, f, t.parameters, by_parts, how);
  zo::estimate(zo::seq, whole, t.parameters, by_wholes, how);
  for (std::size_t i = 0; i < by_parts.size(); ++i) EXPECT_NEAR(by_parts[i], by_wholes[i], 1e-10);
}

TEST(nn_difference, the_same_bits_for_any_number_of_threads) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  std::vector<float> one(at.size());
  auto f = t.objective<float>(running);
  zo::estimate(zo::seq, f, at, one, zo::cge());
  for (const int threads : {2, 4}) {
    std::vector<float> several(at.size());
    auto g = t.objective<float>(running, threads);
    zo::estimate(zo::seq, g, at, several, zo::cge());
    EXPECT_TRUE(same_bits(several, one)) << threads;
  }
}

}  // namespace
