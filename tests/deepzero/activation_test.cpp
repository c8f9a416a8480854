// Activation-space estimates against central differences of whole evaluations in double.
#include "activation/activation.hpp"

#include "nn/trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;

// Two residual blocks at sizes that can be asked coordinate by coordinate: option A included.
nn::network blocks() {
  nn::network net({2, 6, 6});
  index_t x = net.relu(net.batch_norm(net.convolution(0, "first", {.channels = 4}), "firstn"));
  index_t y = net.relu(net.batch_norm(net.convolution(x, "a", {.channels = 8, .stride = 2}), "an"));
  y = net.batch_norm(net.convolution(y, "b", {.channels = 8}), "bn");
  x = net.relu(net.add(y, net.subsample(x, 8)));
  y = net.batch_norm(net.convolution(x, "c", {.channels = 8, .bias = true}), "cn");
  x = net.relu(net.add(y, x));
  net.linear(net.global_average_pool(x), "last", 5);
  return net;
}

// Zero where batch norms are not, so that an estimate has to write what it is asked for.
std::vector<double> norms_of(const trial& t, const std::vector<double>& gradient) {
  std::vector<double> only(gradient.size(), 0);
  for (const nn::view& v : t.net.parameters()) {
    const nn::node& n = t.net.nodes()[static_cast<std::size_t>(v.node)];
    if (n.what != nn::operation::batch_norm) continue;
    std::copy_n(gradient.begin() + v.offset, v.size, only.begin() + v.offset);
  }
  return only;
}

// Of the weights of one layer.
double distance(const trial& t, index_t layer, const std::vector<double>& a,
                const std::vector<double>& b) {
  const nn::node& n = t.net.nodes()[static_cast<std::size_t>(layer)];
  const nn::view& v = t.net.parameters()[static_cast<std::size_t>(n.weight)];
  double off = 0, size = 0;
  for (index_t i = v.offset; i < v.offset + v.size; ++i) {
    const auto k = static_cast<std::size_t>(i);
    off += (a[k] - b[k]) * (a[k] - b[k]);
    size += b[k] * b[k];
  }
  return std::sqrt(off / size);
}

constexpr deepzero::activation_options every_number{.directions = 1'000'000, .smoothing = 1e-7};

// As many directions as active numbers: coordinate-wise, exact.
void expect_exact(const trial& t) {
  const std::vector<double> expected = t.gradient();
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  EXPECT_NEAR(estimator.value(), t.loss(t.parameters), 1e-13);
  std::vector<double> backwards(expected.size(), 0);
  for (auto layer = static_cast<index_t>(t.net.nodes().size()) - 1; layer > 0; --layer) {
    const nn::node& n = t.net.nodes()[static_cast<std::size_t>(layer)];
    if (n.weight < 0) continue;
    std::vector<double> found = norms_of(t, expected);
    const auto result = estimator.estimate(layer, every_number, {.seed = 5}, found);
    EXPECT_EQ(result.questions, result.active);
    EXPECT_LT(distance(t, layer, found, expected), 1e-6) << n.name;
    // Nothing known, each batch norm estimated before it is needed.
    estimator.estimate(layer, every_number, {.seed = 5}, backwards);
  }
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(backwards[i], expected[i], 1e-6);
}

TEST(activation, asking_every_number_gives_the_gradient) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    expect_exact(trial(nn::mlp({7, 6, 4}), 5, mode));
    expect_exact(trial(nn::adjustable_cnn({2, 8, 8}, 4, 2), 5, mode));
    expect_exact(trial(blocks(), 6, mode));
  }
}

TEST(activation, layers_that_two_others_read_are_moved_themselves) {
  const nn::network net = mixture();
  const auto point_of = [&](const char* name) {
    return deepzero::chain_of(net, net.parameter(name).node).point();
  };
  // a: batch norm and ReLU, which two convolutions read; b: batch norm, sum and two pools.
  EXPECT_EQ(net.nodes()[static_cast<std::size_t>(point_of("a.weight"))].what, nn::operation::relu);
  EXPECT_EQ(net.nodes()[static_cast<std::size_t>(point_of("b.weight"))].what,
            nn::operation::average_pool);
  EXPECT_EQ(point_of("d.weight"), net.parameter("d.weight").node);
}

// Without the gradients of later batch norms, what the samples do to each other is missing.
TEST(activation, ignoring_the_statistics_is_wrong) {
  const trial t(blocks(), 6, nn::norm_mode::train);
  const std::vector<double> expected = t.gradient();
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  for (const char* name : {"first.weight", "a.weight", "b.weight"}) {
    const index_t layer = t.net.parameter(name).node;
    std::vector<double> found(expected.size(), 0);
    estimator.estimate(layer, every_number, {.seed = 5}, found);
    EXPECT_GT(distance(t, layer, found, expected), 0.05) << name;
  }
}

// The mean over many seeds is the gradient: z-scores of every weight by their own spread.
TEST(activation, few_directions_are_unbiased) {
  const trial t(blocks(), 6, nn::norm_mode::train);
  const std::vector<double> expected = t.gradient(), norms = norms_of(t, expected);
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  for (const auto share : {deepzero::share::even, deepzero::share::by_sensitivity}) {
    for (const char* name : {"first.weight", "b.weight", "c.weight", "an.weight", "an.bias"}) {
      const nn::view& v = t.net.parameter(name);
      const auto size = static_cast<std::size_t>(v.size);
      std::vector<double> sum(size), squares(size);
      constexpr int trials = 400;
      for (std::uint64_t seed = 0; seed < trials; ++seed) {
        std::vector<double> found = norms;
        estimator.estimate(v.node, {.directions = 3, .smoothing = 1e-7, .shares = share},
                           {.seed = seed}, found);
        for (std::size_t i = 0; i < size; ++i) {
          const double g = found[i + static_cast<std::size_t>(v.offset)];
          sum[i] += g;
          squares[i] += g * g;
        }
      }
      double of_scores = 0;
      for (std::size_t i = 0; i < size; ++i) {
        const double mean = sum[i] / trials, variance = squares[i] / trials - mean * mean;
        const double z = (mean - expected[i + static_cast<std::size_t>(v.offset)]) /
                         std::sqrt(variance / trials);
        EXPECT_LT(std::abs(z), 5) << name << " " << i;
        of_scores += z * z;
      }
      // Weights share directions, so their scores are far from independent.
      EXPECT_LT(of_scores / static_cast<double>(size), 2) << name;
    }
  }
}

// One sample: derivatives of the pre-activations are those of the biases, so the variance of dealt
// directions is known: each number gets the others of its hand, of size |input|^2.
TEST(activation, the_variance_is_that_of_dealt_directions) {
  trial t(nn::mlp({5, 40, 3}), 1, nn::norm_mode::train);
  const std::vector<double> expected = t.gradient();
  const nn::view &weight = t.net.parameter("linear1.weight"),
                 &bias = t.net.parameter("linear1.bias");
  std::vector<double> g;
  for (index_t i = 0; i < 40; ++i) {
    const double v = expected[static_cast<std::size_t>(bias.offset + i)];
    if (v != 0) g.push_back(v);
  }
  constexpr index_t q = 4;
  double variance = 0, length = 0;
  for (const double x : t.inputs) length += x * x;
  for (std::size_t i = 0; i < g.size(); ++i) {
    for (std::size_t j = i % q; j < g.size(); j += q) variance += i == j ? 0 : g[j] * g[j];
  }
  variance *= length;
  ASSERT_GT(g.size(), 12U);
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  constexpr int trials = 1000;
  double sum = 0, squares = 0;
  for (std::uint64_t seed = 0; seed < trials; ++seed) {
    std::vector<double> found(expected.size());
    estimator.estimate(weight.node, {.directions = q, .smoothing = 1e-7}, {.seed = seed}, found);
    double off = 0;
    for (index_t i = weight.offset; i < weight.offset + weight.size; ++i) {
      const double d = found[static_cast<std::size_t>(i)] - expected[static_cast<std::size_t>(i)];
      off += d * d;
    }
    sum += off;
    squares += off * off;
  }
  const double mean = sum / trials;
  EXPECT_LT(std::abs(mean - variance) / std::sqrt((squares / trials - mean * mean) / trials), 4);
}

TEST(activation, the_same_bits_for_any_number_of_threads) {
  const trial t(blocks(), 6, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  std::vector<std::vector<float>> found;
  for (const int threads : {1, 2, 4}) {
    const deepzero::activation_estimator<float> estimator(zo::par.with_threads(threads), t.net,
                                                          t.batch<float>(), at, running, t.mode);
    found.emplace_back(at.size());
    for (index_t layer = t.net.parameter("last.weight").node; layer > 0; --layer) {
      if (t.net.nodes()[static_cast<std::size_t>(layer)].weight < 0) continue;
      estimator.estimate(layer, {.directions = 7}, {.seed = 3, .step = 9}, found.back());
    }
    EXPECT_TRUE(same_bits(found.front(), found.back())) << threads;
  }
}

TEST(activation, bad_arguments_are_named) {
  const trial t(nn::mlp({5, 4, 3}), 2, nn::norm_mode::train);
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  std::vector<double> gradient(t.parameters.size()), short_one(3);
  const auto says = [&](index_t layer, const deepzero::activation_options& options,
                        std::span<double> to, const char* part) {
    const std::string text = complaint([&] { estimator.estimate(layer, options, {}, to); });
    EXPECT_TRUE(contains(text, part)) << text;
  };
  says(1, {.directions = 0}, gradient, "directions must be at least 1, got 0");
  says(1, {.smoothing = 0}, gradient, "smoothing must be above 0, got 0");
  says(2, {}, gradient, "value 2 has no parameters");
  says(1, {}, short_one, "the network has 39 parameters, and gradient 3");
  for (const index_t layer : {index_t{-1}, index_t{0}, index_t{99}}) {
    says(layer, {}, gradient, "has no parameters");
  }
  says(1, {.smoothing = not_a_number}, gradient, "smoothing must be above 0, got nan");
  says(1, {.smoothing = infinity}, gradient, "smoothing of inf is no number of the scalar type");
  const auto refuses = [&](const char* part, const auto& batch) {
    const std::string text = complaint([&] {
      deepzero::activation_estimator(zo::seq, t.net, batch, std::span<const double>(t.parameters),
                                     std::span<const double>(t.statistics), t.mode);
    });
    EXPECT_TRUE(contains(text, part)) << text;
  };
  auto batch = t.batch<double>();
  batch.count = 0;
  refuses("a batch needs at least one sample, got 0", batch);
  batch.count = 3;
  refuses("3 samples of 5 x 1 x 1 need 15 numbers, got 10", batch);
  batch.count = 2;
  batch.loss = nn::cross_entropy(std::vector<index_t>{1}, 3);
  refuses("1 samples", batch);
}

// Of a batch whose loss is no number no gradient is one, and nothing is undefined on the way.
TEST(activation, a_loss_that_is_no_number_stays_visible) {
  trial t(nn::mlp({5, 4, 3}), 6, nn::norm_mode::train);
  t.inputs[7] = not_a_number;
  const deepzero::activation_estimator<double> estimator(zo::seq, t.net, t.batch<double>(),
                                                         t.parameters, t.statistics, t.mode);
  EXPECT_TRUE(std::isnan(estimator.value()));
  std::vector<double> gradient(t.parameters.size());
  estimator.estimate(3, {.directions = 2}, {.seed = 1}, gradient);
  EXPECT_TRUE(
      std::isnan(gradient[static_cast<std::size_t>(t.net.parameter("linear2.bias").offset)]));
}

TEST(activation, keeps_nothing_of_the_callers) {
  const trial t(nn::mlp({5, 4, 3}), 2, nn::norm_mode::train);
  const auto estimate = [&](const deepzero::activation_estimator<double>& estimator) {
    std::vector<double> gradient(t.parameters.size());
    estimator.estimate(1, {}, {.seed = 1}, gradient);
    return gradient;
  };
  const deepzero::activation_estimator<double> of_temporaries(
      zo::seq, nn::mlp({5, 4, 3}), t.batch<double>(), std::vector<double>(t.parameters),
      std::vector<double>(t.statistics), t.mode);
  const std::vector<double> elsewhere(t.parameters.size(), 7.0);
  EXPECT_EQ(estimate(of_temporaries),
            estimate({zo::seq, t.net, t.batch<double>(), t.parameters, t.statistics, t.mode}));
}

}  // namespace
