// Networks on the device against those of the CPU, whose differences are held against a textbook in
// tests/nn: every kind of layer, every parameter tensor.
#include "zo/cuda/network.hpp"

#include <random>

#include "cuda/nn/tensor_core.hpp"
#include "device.hpp"
#include "nn/naive.hpp"
#include "nn/trial.hpp"
#include "zo/nn/objective.hpp"

namespace {

using namespace testing_zo;
using testing_nn::mixture;  // every kind of layer but option A
namespace nn = zo::nn;

std::vector<double> normal(zo::index_t count, unsigned seed, double scale) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(0, scale);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& v : values) v = noise(random);
  return values;
}

template <class T>
std::vector<T> as(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// A network with parameters and data, all in double; float has them rounded.
struct trial {
  nn::network net;
  zo::index_t count;
  nn::norm_mode mode;
  std::vector<double> parameters, statistics, inputs, wanted;
  std::vector<zo::index_t> classes;
  bool squared = false;

  trial(nn::network described, zo::index_t samples, nn::norm_mode how)
      : net(std::move(described)), count(samples), mode(how) {
    parameters.resize(static_cast<std::size_t>(net.parameter_count()));
    statistics.resize(static_cast<std::size_t>(net.statistic_count()));
    nn::initialize<double>(net, nn::initialization::kaiming_uniform, 3, parameters);
    nn::initialize_statistics<double>(net, statistics);
    const auto off = normal(net.parameter_count(), 5, 0.1);  // batch norms that are not trivial
    for (std::size_t i = 0; i < off.size(); ++i) parameters[i] += off[i];
    for (double& s : statistics) s += 0.25;
    inputs = normal(count * net.nodes().front().out.size(), 7, 1);
    if (net.nodes()[1].what == nn::operation::embedding) {
      const zo::index_t entries = net.parameters().front().dims.front();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = static_cast<double>(static_cast<zo::index_t>(i * i) % entries);
      }
    }
    wanted = normal(count * net.output().size(), 8, 1);
    for (zo::index_t b = 0; b < count; ++b) classes.push_back(b * 7 % net.output().size());
    // What float and bfloat16 hold is what double is asked about.
    for (auto* some : {&parameters, &statistics, &inputs}) {
      for (double& v : *some) v = static_cast<double>(static_cast<float>(v));
    }
  }
};

// The first, the middle and the last element of each parameter tensor, and one twice.
std::vector<zo::index_t> some_coordinates(const nn::network& net) {
  std::vector<zo::index_t> some;
  for (const nn::view& v : net.parameters()) {
    for (const zo::index_t element : {v.size - 1, zo::index_t{0}, v.size / 2}) {
      some.push_back(v.offset + element);
    }
  }
  some.push_back(some.front());
  return some;
}

// Probes of the CPU in double.
template <class Loss>
std::vector<double> on_host(const trial& t, const Loss& loss, double& value,
                            const std::vector<zo::index_t>& coordinates,
                            const std::vector<double>& steps) {
  nn::objective<double, Loss> f(t.net,
                                [&](zo::sample_id) {
                                  return nn::minibatch<double, Loss>{t.inputs, t.count, loss};
                                },
                                t.statistics, {.mode = t.mode});
  value = f.prepare(zo::seq, t.parameters, 0);
  std::vector<double> found(coordinates.size());
  f.probe(zo::seq, coordinates, steps, found);
  return found;
}

class gpu_network : public gpu {
 protected:
  // A trial in device memory.
  template <class T>
  struct there {
    zo::cuda::array<T> parameters, statistics, inputs;
    zo::cuda::array<zo::index_t> classes;
    zo::cuda::array<double> wanted;
    bool squared;
    zo::index_t count;

    there(const zo::cuda::policy& on, const trial& t)
        : parameters(on, as<T>(t.parameters)),
          statistics(on, as<T>(t.statistics)),
          inputs(on, as<T>(t.inputs)),
          classes(on, t.classes),
          wanted(on, t.wanted),
          squared(t.squared),
          count(t.count) {}
    zo::cuda::network_batch<T> batch() const {
      zo::cuda::network_batch<T> b{inputs, count, zo::cuda::span<const zo::index_t>(classes)};
      if (squared) b.targets = zo::cuda::span<const double>(wanted);
      return b;
    }
    zo::cuda::network_objective<T> objective(const zo::cuda::policy& on, const trial& t,
                                             zo::cuda::network_options options = {}) const {
      options.mode = t.mode;
      return {on, t.net, [this](zo::sample_id) { return batch(); }, statistics, options};
    }
  };

  template <class T>
  std::vector<double> on_device(const trial& t, const zo::cuda::network_options& options,
                                double& value, const std::vector<zo::index_t>& coordinates,
                                const std::vector<double>& steps) {
    const there<T> data(on(), t);
    auto f = data.objective(on(), t, options);
    zo::cuda::array<double> loss(on(), 1), found(on(), static_cast<zo::index_t>(steps.size()));
    const zo::cuda::array<zo::index_t> which(on(), coordinates);
    const zo::cuda::array<T> by(on(), as<T>(steps));
    f.prepare(data.parameters, loss, stream, 0);
    f.probe(coordinates, which, by, found, stream);
    value = loss.to_host()[0];
    return found.to_host();
  }

  // Each difference to `relative` of itself and `absolute` of the largest one.
  template <class T>
  void expect_differences(const trial& t, double relative, double absolute,
                          const zo::cuda::network_options& options = {}) {
    const std::vector<zo::index_t> coordinates = some_coordinates(t.net);
    for (const double step : {1e-2, -1e-2}) {
      // In float a step is what float holds.
      const std::vector<double> steps(coordinates.size(),
                                      static_cast<double>(static_cast<T>(step)));
      double value = 0, wanted_value = 0;
      const auto found = on_device<T>(t, options, value, coordinates, steps);
      const auto wanted =
          t.squared
              ? on_host(t, nn::squared_error(t.wanted, t.count), wanted_value, coordinates, steps)
              : on_host(t, nn::cross_entropy(t.classes, t.net.output().size()), wanted_value,
                        coordinates, steps);
      EXPECT_NEAR(value, wanted_value, (sizeof(T) == 8 ? 1e-13 : 1e-5) * wanted_value);
      double largest = 0;
      for (const double w : wanted) largest = std::max(largest, std::abs(w));
      for (std::size_t k = 0; k < wanted.size(); ++k) {
        EXPECT_NEAR(found[k], wanted[k], relative * std::abs(wanted[k]) + absolute * largest)
            << t.net.parameter_of(coordinates[k]).name << ", coordinate " << coordinates[k];
      }
    }
  }
};

// Blocks as of a ResNet, with few channels on small images.
nn::network residual(zo::index_t channels, nn::shortcut shortcuts) {
  nn::network net({3, 8, 8});
  const auto convolve = [&](zo::index_t from, const std::string& name, zo::index_t to,
                            zo::index_t stride) {
    return net.convolution(from, name, {.channels = to, .stride = stride});
  };
  zo::index_t x = net.relu(net.batch_norm(convolve(net.input(), "conv1", channels, 1), "bn1"));
  for (zo::index_t block = 0; block < 3; ++block) {
    const std::string name = "block" + std::to_string(block) + ".";
    const bool shrinks = block == 1;
    if (shrinks) channels *= 2;
    zo::index_t y = convolve(x, name + "conv1", channels, shrinks ? 2 : 1);
    y = net.relu(net.batch_norm(y, name + "bn1"));
    y = net.batch_norm(convolve(y, name + "conv2", channels, 1), name + "bn2");
    if (shrinks && shortcuts == nn::shortcut::identity) x = net.subsample(x, channels);
    if (shrinks && shortcuts == nn::shortcut::projection) {
      x = net.convolution(x, name + "shortcut.0",
                          {.channels = channels, .kernel = 1, .stride = 2, .padding = 0});
      x = net.batch_norm(x, name + "shortcut.1");
    }
    x = net.relu(net.add(y, x));
  }
  net.linear(net.global_average_pool(x), "linear", 10);
  return net;
}

// Sums without batch norms, a sum of one changed channel with itself, pools of single channels, a
// convolution right after another one, outputs that are images.
nn::network oddities() {
  nn::network net({2, 8, 8});
  zo::index_t x = net.convolution(net.input(), "a", {.channels = 4, .kernel = 3});
  x = net.average_pool(net.max_pool(net.relu(x), {.kernel = 3, .stride = 1}), {});
  x = net.add(x, net.relu(x));
  x = net.convolution(x, "b", {.channels = 4, .kernel = 1, .padding = 0, .bias = true});
  x = net.convolution(x, "c", {.channels = 4, .kernel = 2, .stride = 1, .padding = 0});
  x = net.relu(net.add(x, net.batch_norm(x, "n")));
  net.batch_norm(net.subsample(x, 6), "last");
  return net;
}

// Both orders of norms and sums, both activations; and an attention whose queries, keys and values
// change in one channel alone, and whose scores are most of the memory.
nn::network transformer(bool first, zo::index_t width = 8) {
  return nn::transformer({.tokens = 5,
                          .entries = 7,
                          .width = width,
                          .heads = 2,
                          .layers = 1,
                          .feed_forward = width + 8,
                          .classes = 3,
                          .activation = first ? nn::activation::relu : nn::activation::gelu,
                          .norm_first = first,
                          .causal = first});
}
nn::network attended() {
  nn::network net({6, 4, 3});
  zo::index_t x = net.gelu(net.positions(net.input(), "p"));
  x = net.positions(net.attention(x, {.heads = 1}), "q");
  net.layer_norm(net.add(x, net.gelu(x)), "n");
  return net;
}

TEST_F(gpu_network, differences_of_every_layer_in_double_are_those_of_the_cpu) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const bool squared : {false, true}) {
      for (const nn::network& net :
           {mixture(), oddities(), residual(4, nn::shortcut::identity),
            residual(4, nn::shortcut::projection), nn::adjustable_cnn({3, 16, 16}, 5, 2),
            nn::mlp({12, 9, 4}), transformer(false), transformer(true), attended()}) {
        trial t(net, 6, mode);
        t.squared = squared;
        expect_differences<double>(t, 1e-9, 1e-12);
      }
    }
  }
}

TEST_F(gpu_network, differences_in_float) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const nn::network& net : {mixture(), oddities(), residual(6, nn::shortcut::identity),
                                   residual(4, nn::shortcut::projection), transformer(false),
                                   transformer(true), attended()}) {
      expect_differences<float>(trial(net, 6, mode), 3e-4, 3e-6);
    }
  }
}

// Images of much brightness and little contrast; steps that leave nothing of the variance, or whose
// squares are beyond float.
TEST_F(gpu_network, differences_of_a_batch_norm_of_bright_images) {
  nn::network net({1, 8, 8});
  net.batch_norm(net.convolution(net.input(), "c", {.channels = 1, .kernel = 1, .padding = 0}),
                 "n");
  for (const double level : {1.0, 200.0}) {
    trial t(net, 32, nn::norm_mode::train);
    t.parameters = {0.5, 1, 0};
    t.squared = true;
    for (std::size_t i = 0; i < t.inputs.size(); ++i) {
      const double contrast = level == 1 ? 1e-3 : 0.1, at = 1.7 * static_cast<double>(i);
      t.inputs[i] = static_cast<double>(static_cast<float>(level + contrast * std::sin(at)));
      t.wanted[i] = std::sin(at + 0.3);
    }
    for (const double step : {0.125, 1.0, 64.0, -0.5, 0x1p84}) {
      double value = 0, wanted_value = 0;
      const auto found = on_device<float>(t, {}, value, {0}, {step});
      const auto wanted =
          on_host(t, nn::squared_error(t.wanted, t.count), wanted_value, {0}, {step});
      EXPECT_NEAR(value, wanted_value, 1e-5 * wanted_value);
      EXPECT_NEAR(found[0], wanted[0], 1e-3 * std::abs(wanted[0])) << level << ", " << step;
    }
  }
}

TEST_F(gpu_network, not_a_number_wins_in_a_pool) {
  nn::network net({1, 4, 4});
  net.max_pool(net.convolution(net.input(), "c", {.channels = 2, .kernel = 1, .padding = 0}));
  for (const std::size_t i : {0U, 1U, 5U}) {
    trial t(net, 1, nn::norm_mode::eval);
    t.inputs[i] = std::numeric_limits<double>::quiet_NaN();
    double value = 0;
    const auto found = on_device<float>(t, {}, value, {0}, {0.5});
    EXPECT_TRUE(std::isnan(value) && std::isnan(found[0])) << i;
  }
}

// Means of numbers whose sum is none, and a sample that is sure.
TEST_F(gpu_network, means_and_losses_at_the_ends_of_the_range) {
  nn::network net({1, 2, 2});
  net.linear(net.average_pool(net.input()), "l", 2);
  trial t(net, 1, nn::norm_mode::eval);
  t.inputs.assign(4, 0x1p127);
  t.parameters = {0x1p-122, 0, 0, 0};  // logits 32 and 0
  t.classes = {0};
  double value = 0;
  const auto found = on_device<float>(t, {}, value, {2, 2}, {-0x1p-30, -64});
  EXPECT_NEAR(value, std::exp(-32.0), 1e-13 * value);
  EXPECT_NEAR(found[0], std::exp(-32.0) * std::expm1(0x1p-30), 1e-12 * found[0]);
  EXPECT_NEAR(found[1], 32, 1e-12);
}

// By whole evaluations, one number at a time.
double textbook_loss(const trial& t, const std::vector<double>& parameters) {
  const auto values =
      testing_nn::naive_forward(t.net, parameters, t.statistics, t.inputs, t.count, t.mode);
  nn::cross_entropy loss(t.classes, t.net.output().size());
  return loss.prepare<double>(values.back());
}

TEST_F(gpu_network, differences_are_those_of_a_textbook) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const nn::network& net : {mixture(), oddities(), residual(4, nn::shortcut::identity),
                                   transformer(false), transformer(true), attended()}) {
      const trial t(net, 3, mode);
      const auto coordinates = some_coordinates(net);
      const std::vector<double> steps(coordinates.size(), 1e-2);
      double value = 0;
      const auto found = on_device<double>(t, {}, value, coordinates, steps);
      const double base = textbook_loss(t, t.parameters);
      EXPECT_NEAR(value, base, 1e-13 * base);
      for (std::size_t k = 0; k < found.size(); ++k) {
        std::vector<double> moved = t.parameters;
        moved[static_cast<std::size_t>(coordinates[k])] += steps[k];
        const double wanted = textbook_loss(t, moved) - base;
        EXPECT_NEAR(found[k], wanted, 1e-9 * std::abs(wanted) + 1e-14 * base)
            << net.parameter_of(coordinates[k]).name;
      }
    }
  }
}

// Widths that take every form of the product on tensor cores, a convolution right after another
// one, and a linear map with a window of several positions.
nn::network wide() {
  nn::network net({3, 5, 4});
  zo::index_t x = net.relu(net.convolution(net.input(), "a", {.channels = 16}));
  x = net.convolution(x, "b", {.channels = 8});
  x = net.relu(net.batch_norm(net.convolution(x, "c", {.channels = 48}), "cn"));
  x = net.convolution(x, "d", {.channels = 64, .stride = 2});
  x = net.convolution(x, "e", {.channels = 32, .kernel = 1, .padding = 0});
  const zo::index_t shortcut = x;
  x = net.relu(net.batch_norm(net.convolution(x, "f", {.channels = 128}), "fn"));
  x = net.add(net.batch_norm(net.convolution(x, "g", {.channels = 32}), "gn"), shortcut);
  net.linear(net.relu(x), "h", 8);
  return net;
}

// Differences and weights are rounded by up to 2^-9 of them, layer after layer: the estimate as a
// whole is off by less than one percent.
TEST_F(gpu_network, differences_in_bfloat16) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const nn::network& net :
         {wide(), residual(16, nn::shortcut::identity), residual(32, nn::shortcut::projection),
          transformer(false, 16)}) {
      const trial t(net, 2, mode);
      std::vector<zo::index_t> coordinates;  // one of each parameter tensor
      for (const nn::view& v : net.parameters()) coordinates.push_back(v.offset + v.size / 2);
      const std::vector<double> steps(coordinates.size(), static_cast<double>(1e-2F));
      double value = 0;
      const auto found =
          on_device<float>(t, {.products = nn::products::bfloat16}, value, coordinates, steps);
      const auto exact = on_device<float>(t, {}, value, coordinates, steps);
      const auto wanted =
          on_host(t, nn::cross_entropy(t.classes, net.output().size()), value, coordinates, steps);
      double off = 0, all = 0;
      for (std::size_t k = 0; k < wanted.size(); ++k) {
        off += (found[k] - wanted[k]) * (found[k] - wanted[k]);
        all += wanted[k] * wanted[k];
      }
      EXPECT_LT(std::sqrt(off / all), 1e-2);
      EXPECT_NE(found, exact) << "nothing was rounded";
    }
  }
}

// Few bytes make groups of few probes: the same bits.
TEST_F(gpu_network, the_same_bits_however_many_probes_go_together) {
  struct example {
    nn::network net;
    nn::products products;
  };
  for (const auto& [net, products] :
       {example{mixture(), nn::products::exact}, example{transformer(false), nn::products::exact},
        example{residual(16, nn::shortcut::projection), nn::products::bfloat16},
        example{transformer(true, 16), nn::products::bfloat16}}) {
    const trial t(net, 2, nn::norm_mode::train);
    const there<float> data(on(), t);
    const std::vector<zo::index_t> coordinates = some_coordinates(t.net);
    const std::vector<float> steps(coordinates.size(), 1e-2F);
    const auto probes = static_cast<zo::index_t>(steps.size());
    const zo::cuda::array<zo::index_t> which(on(), coordinates);
    const zo::cuda::array<float> by(on(), steps);
    zo::cuda::array<double> loss(on(), 1), found(on(), probes);
    auto f = data.objective(on(), t, {.products = products});
    f.prepare(data.parameters, loss, stream, 0);
    const zo::index_t pass = f.bytes();
    f.probe(coordinates, which, by, found, stream);
    const auto wanted = found.to_host();
    const zo::index_t all_together = f.bytes();
    std::size_t tried = 0;
    for (zo::index_t most = pass + 1; most < all_together; most += (all_together - pass) / 5) {
      auto g = data.objective(on(), t, {.products = products, .max_bytes = most});
      g.prepare(data.parameters, loss, stream, 0);
      const std::string why = complaint([&] { g.probe(coordinates, which, by, found, stream); });
      EXPECT_LE(g.bytes(), most);
      if (!why.empty()) {
        EXPECT_TRUE(contains(why, "more than max_bytes = " + std::to_string(most))) << why;
        continue;
      }
      EXPECT_EQ(found.to_host(), wanted) << most;
      ++tried;
    }
    EXPECT_GE(tried, 2U);
  }
}

// Alone, in another order, and read back from the device.
TEST_F(gpu_network, a_probe_depends_on_nothing_else) {
  const trial t(mixture(), 5, nn::norm_mode::train);
  const there<float> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cuda::array<double> loss(on(), 1), found(on(), 3), one(on(), 1);
  const std::vector<zo::index_t> coordinates = {200, 3, 80};
  const zo::cuda::array<zo::index_t> which(on(), coordinates);
  const zo::cuda::array<float> by(on(), {0.01F, 0.02F, -0.01F});
  f.prepare(data.parameters, loss, stream, 0);
  f.probe(which, by, found, stream);
  const auto all = found.to_host();
  for (const zo::index_t k : {2, 0, 1}) {
    const zo::cuda::span<const zo::index_t> those(which);
    const zo::cuda::span<const float> steps(by);
    f.probe(those.subspan(k, 1), steps.subspan(k, 1), one, stream);
    EXPECT_EQ(one.to_host()[0], all[static_cast<std::size_t>(k)]) << k;
  }
}

nn::objective<double> cpu_objective(const trial& t) {
  const auto batch = [&t](zo::sample_id) {
    return nn::minibatch<double>{t.inputs, t.count,
                                 nn::cross_entropy(t.classes, t.net.output().size())};
  };
  return {t.net, batch, t.statistics, {.mode = t.mode}};
}

// Whole estimates, against the CPU's in double.
template <class How>
double distance_to_cpu(const zo::cuda::policy& on, zo::cuda::network_objective<double>& f,
                       const trial& t, const How& how) {
  const zo::cuda::array<double> x(on, t.parameters);
  zo::cuda::array<double> gradient(on, x.size());
  std::vector<double> wanted(t.parameters.size());
  nn::objective<double> host = cpu_objective(t);
  const auto result = zo::estimate(on, f, x, gradient, how).get();
  const auto expected = zo::estimate(zo::seq, host, t.parameters, wanted, how);
  EXPECT_TRUE(result.ok);
  EXPECT_EQ(result.queries, expected.queries);
  if constexpr (!requires { typename How::distribution_type; }) {
    EXPECT_EQ(f.multiplications(), host.multiplications());
  }
  EXPECT_NEAR(result.value, expected.value, 1e-12 * std::abs(expected.value));
  const auto found = gradient.to_host();
  double off = 0, all = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    all += wanted[i] * wanted[i];
  }
  return std::sqrt(off / all);
}

TEST_F(gpu_network, estimates_are_those_of_the_cpu) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    const trial t(mixture(), 4, mode);
    const there<double> data(on(), t);
    auto f = data.objective(on(), t);
    EXPECT_LT(distance_to_cpu(on(), f, t, zo::cge({.smoothing = 1e-3})), 1e-9);
    EXPECT_LT(distance_to_cpu(on(), f, t, zo::cge({.smoothing = 1e-3}, zo::central{})), 1e-9);
    EXPECT_LT(distance_to_cpu(on(), f, t, zo::rge({.directions = 3, .smoothing = 1e-2})), 1e-9);
    EXPECT_LT(distance_to_cpu(on(), f, t, zo::cge({.coordinates = zo::random_coordinates{40}})),
              1e-9);
  }
}

TEST_F(gpu_network, estimates_of_a_transformer_are_those_of_the_cpu) {
  const trial t(transformer(false), 4, nn::norm_mode::train);
  const there<double> data(on(), t);
  auto f = data.objective(on(), t);
  EXPECT_LT(distance_to_cpu(on(), f, t, zo::cge({.smoothing = 1e-3})), 1e-9);
  EXPECT_LT(distance_to_cpu(on(), f, t, zo::rge({.directions = 3, .smoothing = 1e-2})), 1e-9);
}

// Another token at one position, which is one that there is or none.
TEST_F(gpu_network, tokens_that_move_have_another_row) {
  nn::network net({1, 3, 1});
  net.linear(net.embedding(net.positions(net.input(), "shift"), "table", 4, 2), "l", 3);
  trial t(net, 2, nn::norm_mode::eval);
  std::fill_n(t.parameters.begin(), 3, 0.0);
  t.inputs = {0, 1, 3, 2, 2, 3};
  const std::vector<zo::index_t> coordinates = {0, 1, 1, 2, 2};
  const std::vector<double> steps = {1, -1, 0, -2, 1};
  double value = 0, wanted_value = 0;
  const auto found = on_device<double>(t, {}, value, coordinates, steps);
  const auto wanted = on_host(t, nn::cross_entropy(t.classes, net.output().size()), wanted_value,
                              coordinates, steps);
  for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(found[k], wanted[k], 1e-13) << k;
  EXPECT_NE(found[0], 0);
  EXPECT_EQ(found[2], 0);
  EXPECT_TRUE(std::isnan(found[4]) && std::isnan(wanted[4]));
}

// A whole run, by probes: as on the CPU, step after step.
TEST_F(gpu_network, a_run_trains) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<double> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cuda::array<double> x(on(), t.parameters);
  const zo::cge how({.smoothing = 1e-4});
  const zo::minimize_options run{.max_queries = 3 * 924};
  const auto there_run = zo::minimize(on(), f, x, how, zo::adam({.rate = 1e-2}), run);
  std::vector<double> wanted = t.parameters;
  nn::objective<double> host = cpu_objective(t);
  const auto here_run = zo::minimize(zo::seq, host, wanted, how, zo::adam({.rate = 1e-2}), run);
  EXPECT_EQ(there_run.steps, here_run.steps);
  EXPECT_EQ(there_run.queries, here_run.queries);
  EXPECT_NEAR(there_run.value, here_run.value, 1e-7 * here_run.value);
  EXPECT_LT(there_run.value, textbook_loss(t, t.parameters));
  const auto found = x.to_host();
  double most = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    most = std::max(most, std::abs(found[i] - wanted[i]));
  }
  EXPECT_LT(most, 1e-3);  // signs of slopes that are rounding alone differ
}

TEST_F(gpu_network, running_statistics_move_as_on_the_cpu) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<double> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cuda::array<double> loss(on(), 1), running(on(), t.statistics);
  EXPECT_TRUE(contains(complaint([&] { f.update_statistics(running); }), "after prepare"));
  f.prepare(data.parameters, loss, stream, 0);
  f.update_statistics(running, 0.3);
  nn::forward_pass<double> pass(t.net);
  pass.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, t.mode);
  std::vector<double> wanted = t.statistics;
  pass.update_statistics(wanted, 0.3);
  const auto found = running.to_host();
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-13);
}

// A step of a network without a wait, captured and replayed.
TEST_F(gpu_network, a_captured_step_replays) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<float> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cge_options some;
  some.coordinates = zo::coordinate_list{{2, 1, 77, 130}};
  const zo::cge how(some);
  zo::cuda::array<float> gradient(on(), data.parameters.size());
  zo::cuda::workspace memory(on());
  zo::estimate(on(), f, data.parameters, gradient, how, {}, memory);
  const auto wanted = gradient.to_host();
  gradient.copy_from(std::vector<float>(wanted.size(), 7.0F));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
  zo::estimate(on(), f, data.parameters, gradient, how, {}, memory);
  check(cudaStreamEndCapture(stream, &graph), "end capture");
  check(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
  check(cudaGraphDestroy(graph), "destroy graph");
  check(cudaGraphLaunch(ready, stream), "launch");
  EXPECT_TRUE(same_bits(gradient.to_host(), wanted));
  check(cudaGraphExecDestroy(ready), "destroy");
}

#if defined(ZO_CUDA_EMULATOR)
// Where the device has less than max_bytes, groups are smaller; where it has too little for one
// probe, the error of its memory says so.
TEST_F(gpu_network, groups_shrink_to_the_memory_there_is) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<float> data(on(), t);
  const auto gradient_within = [&](std::size_t bytes) {
    zo::cuda::array<float> gradient(on(), data.parameters.size());
    zo::cuda::workspace memory(on());
    auto f = data.objective(on(), t);
    cuda_emulator::limit_memory(bytes);
    zo::estimate(on(), f, data.parameters, gradient, zo::cge(), {}, memory).get();
    EXPECT_LE(cuda_emulator::statistics().live_bytes, bytes);
    return gradient.to_host();
  };
  const auto wanted = gradient_within(std::size_t{1} << 30);
  for (const std::size_t bytes : {std::size_t{1} << 21, std::size_t{150'000}}) {
    EXPECT_TRUE(same_bits(gradient_within(bytes), wanted)) << bytes;
  }
  EXPECT_THROW(gradient_within(40'000), zo::cuda::error);
  cuda_emulator::limit_memory(std::size_t{1} << 30);
}

TEST_F(gpu_network, steps_never_wait) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<float> data(on(), t);
  zo::cuda::array<float> gradient(on(), data.parameters.size());
  auto f = data.objective(on(), t);
  zo::cuda::workspace memory(on());
  const auto before = cuda_emulator::statistics();
  zo::estimate(on(), f, data.parameters, gradient, zo::cge(), {}, memory);
  zo::estimate(on(), f, data.parameters, gradient, zo::rge({.directions = 2}), {}, memory);
  const auto after = cuda_emulator::statistics();
  EXPECT_EQ(after.synchronizations, before.synchronizations);
  EXPECT_EQ(after.may_synchronize, before.may_synchronize);
}
#endif

TEST_F(gpu_network, an_unknown_class_is_a_failed_query) {
  trial t(mixture(), 4, nn::norm_mode::train);
  t.classes[2] = 5;
  const there<float> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cuda::array<float> gradient(on(), data.parameters.size());
  const auto result = zo::estimate(on(), f, data.parameters, gradient, zo::cge()).get();
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.failed, result.queries);
}

// A batch norm over one number has no variance; a running one that is negative has no root.
TEST_F(gpu_network, batch_norms_without_a_variance) {
  nn::network net({2, 1, 1});
  const zo::index_t x = net.batch_norm(net.linear(net.input(), "a", 3), "narrow");
  net.linear(net.relu(x), "b", 2);
  zo::cuda::array<double> loss(on(), 1);
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const int count : {1, 2}) {
      trial t(net, count, mode);
      const there<double> data(on(), t);
      auto f = data.objective(on(), t);
      const std::string said = complaint([&] { f.prepare(data.parameters, loss, stream, 0); });
      const bool refused = mode == nn::norm_mode::train && count == 1;
      EXPECT_EQ(said.empty(), !refused);
      EXPECT_EQ(contains(said, "batch norm narrow sees one number a channel"), refused) << said;
    }
  }
  trial t(net, 2, nn::norm_mode::eval);
  t.statistics.back() = -0.5;
  const there<double> data(on(), t);
  auto f = data.objective(on(), t);
  zo::cuda::array<double> gradient(on(), data.parameters.size());
  EXPECT_FALSE(zo::estimate(on(), f, data.parameters, gradient, zo::cge()).get().ok);
}

// Rounding makes no variance of equal numbers negative.
TEST_F(gpu_network, the_variance_of_equal_numbers_moves_to_zero) {
  for (const double epsilon : {1e-5, 1e-3, 0.3, 7e-11}) {
    nn::network net({1, 2, 2});
    net.batch_norm(net.input(), "n", epsilon);
    const zo::cuda::array<double> p(on(), {1, 0}), inputs(on(), std::vector<double>(8, 3.3));
    const zo::cuda::array<double> wanted(on(), std::vector<double>(8, 0.0));
    zo::cuda::array<double> s(on(), {0, 0}), loss(on(), 1);
    zo::cuda::network_objective<double> f(
        on(), net,
        [&](zo::sample_id) {
          return zo::cuda::network_batch<double>{inputs, 2, zo::cuda::span<const double>(wanted)};
        },
        s);
    f.prepare(p, loss, stream, 0);
    f.update_statistics(s, 1);
    EXPECT_GE(s.to_host()[1], 0);
    EXPECT_LE(s.to_host()[1], 1e-15);
    for (const double momentum : {-0.1, 1.1, not_a_number}) {
      EXPECT_TRUE(contains(complaint([&] { f.update_statistics(s, momentum); }),
                           "momentum must be 0 … 1, got"));
    }
  }
}

TEST_F(gpu_network, refusals_are_sentences) {
  const trial t(mixture(), 4, nn::norm_mode::train);
  const there<float> data(on(), t);
  zo::cuda::array<double> loss(on(), 1);
  const auto refused = [&](const std::string& why, const auto& call) {
    const std::string said = complaint(call);
    EXPECT_TRUE(contains(said, why)) << said;
  };
  const auto objective = [&](zo::cuda::network_batch<float> batch,
                             const zo::cuda::network_options& options = {}) {
    return zo::cuda::network_objective<float>(
        on(), t.net, [batch](zo::sample_id) { return batch; }, data.statistics, options);
  };
  const auto prepare = [&](auto f) { f.prepare(data.parameters, loss, stream, 0); };
  auto batch = data.batch();
  refused("3 samples of 2 x 9 x 7 need 378 numbers, got 504", [&] {
    auto wrong = batch;
    wrong.count = 3;
    prepare(objective(wrong));
  });
  constexpr zo::index_t huge = std::numeric_limits<zo::index_t>::max();
  for (const zo::index_t count : {zo::index_t{0}, zo::index_t{-1}, -huge}) {
    refused("a batch needs at least one sample, got", [&] {
      auto wrong = batch;
      wrong.count = count;
      prepare(objective(wrong));
    });
  }
  for (const zo::index_t count : {huge, huge / 126 + 4, zo::index_t{1} << 32}) {
    refused("are more numbers than 31 bits count", [&] {
      auto wrong = batch;
      wrong.count = count;
      prepare(objective(wrong));
    });
  }
  refused("there is no function that makes batches",
          [&] { zo::cuda::network_objective<float>(on(), t.net, nullptr, data.statistics); });
  refused("a padding of 1100000000 is more than 31 bits count", [&] {
    nn::network far({1, 2, 2});
    far.convolution(0, "far", {.stride = 1 << 30, .padding = 1'100'000'000});
    zo::cuda::network_objective<float>(on(), far, [&](zo::sample_id) { return batch; }, {});
  });
  refused("4 samples need 4 classes, got 2", [&] {
    auto wrong = batch;
    wrong.targets = zo::cuda::span<const zo::index_t>(data.classes).subspan(0, 2);
    prepare(objective(wrong));
  });
  refused("4 samples need 20 wanted numbers, got 3", [&] {
    auto wrong = batch;
    wrong.targets = zo::cuda::span<const double>(data.wanted).subspan(0, 3);
    prepare(objective(wrong));
  });
  refused("inputs must be device memory, and this is host memory", [&] {
    auto wrong = batch;
    const std::vector<float> host(504);
    wrong.inputs = {host.data(), 504};
    prepare(objective(wrong));
  });
  refused("a pass of 4 samples needs", [&] { prepare(objective(batch, {.max_bytes = 1000})); });
  refused("max_bytes must be at least 1, got 0", [&] { objective(batch, {.max_bytes = 0}); });
  refused("the network has 20 statistics, got 3", [&] {
    zo::cuda::network_objective<float>(
        on(), t.net, [&](zo::sample_id) { return batch; },
        zo::cuda::span<const float>(data.statistics).subspan(0, 3));
  });
  refused("products in bfloat16 are for networks of float", [&] {
    const there<double> twice(on(), t);
    twice.objective(on(), t, {.products = nn::products::bfloat16});
  });
  const zo::cuda::array<zo::index_t> which(on(), {3});
  const zo::cuda::array<float> by(on(), {0.1F});
  zo::cuda::array<double> found(on(), 1);
  auto f = objective(batch);
  refused("prepare comes before probes", [&] { f.probe(which, by, found, stream); });
  f.prepare(data.parameters, loss, stream, 0);
  refused("the stream is not that of the objective's policy",
          [&] { f.probe(which, by, found, nullptr); });
  refused("2 probes need as many coordinates", [&] {
    const std::vector<zo::index_t> known = {1, 2};
    f.probe(known, which, by, found, stream);
  });
  refused("prepare writes one loss, got room for 0",
          [&] { f.prepare(data.parameters, {}, stream, 0); });
  refused("prepare comes before probes", [&] { f.probe(which, by, found, stream); });
  const zo::cuda::points<float> twice{data.parameters, 1, 923};
  refused("1 points need as many losses, got 0", [&] { f(twice, {}, stream, 0); });
  f.prepare(data.parameters, loss, stream, 0);
  for (const zo::index_t off : {zo::index_t{-1}, zo::index_t{923}, huge}) {
    refused("is not in 0 … 922", [&] {
      const std::vector<zo::index_t> known = {off};
      f.probe(known, which, by, found, stream);
    });
  }
  refused("the network has 923 parameters, got 5", [&] {
    f.prepare(zo::cuda::span<const float>(data.parameters).subspan(0, 5), loss, stream, 0);
  });
}

// Lanes hold the parts of the matrices that cuda/nn/tensor_core.hpp says, on the emulator as on a
// GPU: whole numbers, so that every sum is exact.
__global__ void multiply_matrices(const float* a, const float* b, float* c) {
  const int row = static_cast<int>(threadIdx.x) / 4, pair = static_cast<int>(threadIdx.x) % 4;
  const auto both = [](float low, float high) {
    return std::uint32_t{zo::bfloat16(low).bits} | std::uint32_t{zo::bfloat16(high).bits} << 16;
  };
  std::uint32_t left[4], right[2];
  for (int k = 0; k < 4; ++k) {
    const float* const from = a + (row + k % 2 * 8) * 16 + 2 * pair + k / 2 * 8;
    left[k] = both(from[0], from[1]);
  }
  for (int k = 0; k < 2; ++k) {
    const float* const from = b + (2 * pair + k * 8) * 8 + row;
    right[k] = both(from[0], from[8]);
  }
  float sums[4];
  for (int k = 0; k < 4; ++k) sums[k] = c[(row + k / 2 * 8) * 8 + 2 * pair + k % 2];
  zo::cuda::detail::multiply_add(sums, left, right);
  for (int k = 0; k < 4; ++k) c[(row + k / 2 * 8) * 8 + 2 * pair + k % 2] = sums[k];
}

TEST_F(gpu_network, lanes_share_matrices_as_said) {
  std::vector<float> a, b, c;
  for (int i = 0; i < 16 * 16; ++i) a.push_back(static_cast<float>(i * 5 % 23 - 11));
  for (int i = 0; i < 16 * 8; ++i) b.push_back(static_cast<float>(i * 7 % 19 - 9));
  for (int i = 0; i < 16 * 8; ++i) c.push_back(static_cast<float>(i));
  const zo::cuda::array<float> left(on(), a), right(on(), b);
  zo::cuda::array<float> sums(on(), c);
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.gridDim = dim3(1, 1, 1);
  config.blockDim = dim3(32, 1, 1);
  check(cudaLaunchKernelEx(&config, multiply_matrices, left.data(), right.data(), sums.data()),
        "launching a product");
  const auto found = sums.to_host();
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t column = 0; column < 8; ++column) {
      float wanted = c[row * 8 + column];
      for (std::size_t k = 0; k < 16; ++k) wanted += a[row * 16 + k] * b[k * 8 + column];
      EXPECT_EQ(found[row * 8 + column], wanted) << row << ", " << column;
    }
  }
}

}  // namespace
