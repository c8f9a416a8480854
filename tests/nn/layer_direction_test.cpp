// Directions in one layer's weights: slopes against whole evaluations, means and variances against
// what is known of them.
#include "zo/nn/layer_direction.hpp"

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;

// A prepared pass and its loss.
template <class T>
struct prepared {
  std::vector<T> parameters;
  nn::forward_pass<T> pass;
  nn::minibatch<T> batch;

  explicit prepared(const trial& t)
      : parameters(t.parameters.begin(), t.parameters.end()), pass(t.net), batch(t.batch<T>()) {
    const std::vector<T> running(t.statistics.begin(), t.statistics.end());
    pass.run(parameters, running, batch.inputs, batch.count, t.mode);
    pass.prepare_differences();
    batch.loss.template prepare<T>(pass.outputs());
  }

  std::vector<T> estimate(const trial&, index_t layer, const nn::layer_direction_options& how,
                          const zo::stream& from, int threads = 1) const {
    std::vector<T> gradient(parameters.size());
    nn::estimate_by_directions<T>(pass, batch.loss, layer, how, from, gradient, threads);
    return gradient;
  }
};

// Parameters of a layer, weights first.
template <class T>
std::vector<T> part(const trial& t, index_t layer, const std::vector<T>& all) {
  const nn::node& n = t.net.nodes()[static_cast<std::size_t>(layer)];
  std::vector<T> own;
  for (const index_t number : {n.weight, n.bias}) {
    if (number < 0) continue;
    const nn::view& v = t.net.parameters()[static_cast<std::size_t>(number)];
    own.insert(own.end(), all.begin() + v.offset, all.begin() + v.offset + v.size);
  }
  return own;
}

// One direction: the estimate is slope x direction, and the slope that of whole evaluations.
TEST(nn_layer_direction, slopes_are_those_of_whole_evaluations) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    const trial t(mixture(), 6, mode);
    const prepared<double> p(t);
    for (const char* name : {"a.weight", "p.weight", "b.weight", "c.weight", "d.weight"}) {
      const index_t layer = t.net.parameter(name).node;
      for (const std::optional<index_t> rank : {std::optional<index_t>{}, {1}, {3}}) {
        const double mu = 1e-3;
        const nn::layer_direction_options how{.directions = 1, .smoothing = mu, .rank = rank};
        const auto found = part(t, layer, p.estimate(t, layer, how, {.seed = 4, .step = 2}));
        std::vector<double> u(found.size());
        nn::fill_layer_direction<double>(t.net, layer, how, {.seed = 4, .step = 2}, 0, u);
        // The biases follow the weights in the flat vector, too.
        std::vector<double> up = t.parameters;
        for (std::size_t i = 0; i < u.size(); ++i) {
          up[static_cast<std::size_t>(t.net.parameter(name).offset) + i] += mu * u[i];
        }
        const double slope = (t.loss(up) - t.loss(t.parameters)) / mu;
        for (std::size_t i = 0; i < u.size(); ++i) {
          EXPECT_NEAR(found[i], slope * u[i], 1e-9) << name << " " << i;
        }
      }
    }
  }
}

TEST(nn_layer_direction, tiny_steps_in_float_are_derivatives) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const index_t layer = t.net.parameter("b.weight").node;
  for (const std::optional<index_t> rank : {std::optional<index_t>{}, {2}}) {
    const auto coarse = part(t, layer,
                             prepared<double>(t).estimate(
                                 t, layer, {.directions = 8, .smoothing = 1e-7, .rank = rank}, {}));
    const auto fine = part(t, layer,
                           prepared<float>(t).estimate(
                               t, layer, {.directions = 8, .smoothing = 1e-9, .rank = rank}, {}));
    double off = 0, size = 0;
    for (std::size_t i = 0; i < fine.size(); ++i) {
      off += std::pow(static_cast<double>(fine[i]) - coarse[i], 2);
      size += coarse[i] * coarse[i];
    }
    EXPECT_LT(std::sqrt(off / size), 1e-3);
  }
}

// Mean over directions: the gradient. Variance: as the header says, for every rank.
TEST(nn_layer_direction, means_and_variances_are_the_stated_ones) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const prepared<double> p(t);
  const std::vector<double> gradient = t.gradient();
  const nn::view& v = t.net.parameter("p.weight");  // 6 x 4, no bias
  const std::vector<double> g = part(t, v.node, gradient);
  double length = 0;
  for (const double x : g) length += x * x;
  for (const std::optional<index_t> rank : {std::optional<index_t>{}, {1}, {4}}) {
    constexpr int trials = 4000;
    std::vector<double> sum(g.size()), squares(g.size());
    double errors = 0, of_errors = 0;
    for (std::uint64_t seed = 0; seed < trials; ++seed) {
      const auto found =
          part(t, v.node,
               p.estimate(t, v.node, {.directions = 1, .smoothing = 1e-7, .rank = rank},
                          {.seed = seed}));
      double off = 0;
      for (std::size_t i = 0; i < g.size(); ++i) {
        sum[i] += found[i];
        squares[i] += found[i] * found[i];
        off += (found[i] - g[i]) * (found[i] - g[i]);
      }
      errors += off;
      of_errors += off * off;
    }
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double mean = sum[i] / trials, variance = squares[i] / trials - mean * mean;
      EXPECT_LT(std::abs(mean - g[i]) / std::sqrt(variance / trials), 4.5) << i;
    }
    const double r = static_cast<double>(rank.value_or(1));
    const double stated = (static_cast<double>(v.size) - 1 + 2 * (r - 1) / r) * length;
    const double mean = errors / trials;
    EXPECT_LT(std::abs(mean - stated) / std::sqrt((of_errors / trials - mean * mean) / trials), 4)
        << r;
  }
}

TEST(nn_layer_direction, the_same_bits_for_any_number_of_threads) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const prepared<float> p(t);
  const index_t layer = t.net.parameter("a.weight").node;
  for (const std::optional<index_t> rank : {std::optional<index_t>{}, {2}}) {
    const nn::layer_direction_options how{.directions = 7, .rank = rank};
    const auto one = p.estimate(t, layer, how, {.seed = 8});
    for (const int threads : {2, 4}) {
      EXPECT_TRUE(same_bits(p.estimate(t, layer, how, {.seed = 8}, threads), one)) << threads;
    }
  }
}

// Whole-vector directions need nothing of their own: an objective is one that zo::rge can ask.
TEST(nn_layer_direction, rge_of_the_whole_vector) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  auto f = t.objective<double>(t.statistics);
  const auto whole = [&](std::span<const double> at) { return t.loss({at.begin(), at.end()}); };
  std::vector<double> ours(t.parameters.size()), theirs(t.parameters.size());
  const zo::rge how({.directions = 5, .smoothing = 1e-4}, zo::rademacher{}, zo::central{});
  zo::estimate(zo::seq, f, t.parameters, ours, how, {.seed = 3});
  zo::estimate(zo::seq, whole, t.parameters, theirs, how, {.seed = 3});
  EXPECT_TRUE(same_bits(ours, theirs));
}

TEST(nn_layer_direction, bad_arguments_are_named) {
  const trial t(mixture(), 2, nn::norm_mode::train);
  const prepared<double> p(t);
  const auto says = [&](index_t layer, const nn::layer_direction_options& how, const char* text) {
    const std::string found = complaint([&] { p.estimate(t, layer, how, {}); });
    EXPECT_TRUE(contains(found, text)) << found;
  };
  says(1, {.directions = 0}, "directions must be 1 … 2^20, got 0");
  says(1, {.smoothing = -1}, "smoothing must be above 0, got -1");
  for (const double smoothing : {0.0, not_a_number}) {
    says(1, {.smoothing = smoothing}, "smoothing must be above 0, got");
  }
  says(1, {.smoothing = infinity}, "smoothing of inf is no number of the scalar type");
  const index_t huge = std::numeric_limits<index_t>::max();
  says(1, {.rank = 0}, "rank must be 1 … 72, got 0");
  says(1, {.rank = huge}, "rank must be 1 … 72, got 9223372036854775807");
  says(1, {.directions = huge}, "directions must be 1 … 2^20, got");
  says(-1, {}, "value -1 is not in 0 …");
  says(2, {}, "value 2 is no convolution and no linear map");
  says(99, {}, "value 99 is not in 0 …");
  std::vector<double> gradient(t.parameters.size()), u(76);
  const auto refuses = [&](const char* text, const auto& call) {
    EXPECT_TRUE(contains(complaint(call), text)) << complaint(call);
  };
  for (const index_t number : {index_t{-1}, index_t{1} << 20, huge}) {
    refuses("number must be 0 … 2^20 - 1, got",
            [&] { nn::fill_layer_direction<double>(t.net, 1, {}, {}, number, u); });
  }
  const auto ask = [&](const nn::forward_pass<double>& base, const nn::cross_entropy& loss,
                       int threads = 1) {
    nn::estimate_by_directions<double>(base, loss, 1, {}, {}, gradient, threads);
  };
  refuses("threads must be at least 1, got 0", [&] { ask(p.pass, p.batch.loss, 0); });
  nn::forward_pass<double> pass(t.net);
  refuses("no values before run", [&] { ask(pass, p.batch.loss); });
  pass.run(t.parameters, t.statistics, t.inputs, t.count, t.mode);
  refuses("run and prepare_differences of the base pass come first",
          [&] { ask(pass, p.batch.loss); });
  pass.prepare_differences();
  refuses("prepare comes before differences",
          [&] { ask(pass, nn::cross_entropy(t.targets, t.net.output().size())); });
  const prepared<float> narrow(t);
  std::vector<float> narrow_gradient(t.parameters.size());
  refuses("smoothing of 1e-60 is no number of the scalar type", [&] {
    nn::estimate_by_directions<float>(narrow.pass, narrow.batch.loss, 1, {.smoothing = 1e-60}, {},
                                      narrow_gradient);
  });
}

}  // namespace
