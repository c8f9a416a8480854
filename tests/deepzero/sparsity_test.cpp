// ZO-GraSP, layer ratios and coordinate sets.
#include "sparsity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <zo/nn/objective.hpp>

#include "reference.hpp"
#include "support.hpp"
#include "zo/zo.hpp"

namespace {

using namespace deepzero;
using zo::index_t;
namespace nn = zo::nn;

constexpr index_t d = 12;

// sum_i (i + 1) x_i^2 / 2 + x_0 x_1 + sum_i x_i^3 / 30, and what calculus says of it.
double loss(std::span<const double> x) {
  double sum = x[0] * x[1];
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(i + 1) * x[i] * x[i] / 2 + x[i] * x[i] * x[i] / 30;
  }
  return sum;
}

std::vector<double> gradient(const std::vector<double>& x) {
  std::vector<double> g(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    g[i] = static_cast<double>(i + 1) * x[i] + x[i] * x[i] / 10;
  }
  g[0] += x[1];
  g[1] += x[0];
  return g;
}

std::vector<double> hessian_times(const std::vector<double>& x, const std::vector<double>& v) {
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    out[i] = (static_cast<double>(i + 1) + x[i] / 5) * v[i];
  }
  out[0] += v[1];
  out[1] += v[0];
  return out;
}

std::vector<double> point() {
  std::vector<double> x;
  for (index_t i = 0; i < d; ++i)
    x.push_back(0.3 + 0.1 * static_cast<double>(i % 5) * (i % 2 ? 1 : -2));
  return x;
}

// With very many directions both estimates are the gradient, and S = -x H g.
TEST(zo_grasp, tends_to_the_analytic_scores) {
  const std::vector<double> x = point();
  const auto scores =
      zo_grasp_scores(zo::par, loss, x, {.directions = 400'000, .smoothing = 1e-4, .seed = 3});
  const std::vector<double> hg = hessian_times(x, gradient(x));
  for (std::size_t i = 0; i < x.size(); ++i) {
    // The noise of a coordinate of either estimate is |g| / sqrt(q) at most; a few of them.
    EXPECT_NEAR(scores[i], -x[i] * hg[i], 0.03 * std::abs(x[i]) * 20) << i;
  }
}

// The definition, term by term, from a second implementation of RGE.
TEST(zo_grasp, equals_its_formula) {
  const std::vector<double> x = point();
  const double mu = 0.01;
  const std::uint64_t seed = 11;
  const auto scores =
      zo_grasp_scores(zo::seq, loss, x, {.directions = 7, .smoothing = mu, .seed = seed});
  const auto naive = [&](const std::vector<double>& at) {
    std::vector<double> g(at.size());
    for (std::uint32_t k = 0; k < 7; ++k) {
      std::vector<double> u(at.size()), moved = at;
      zo::fill_direction(zo::gaussian{}, {seed, 0, k}, std::span<double>(u));
      for (std::size_t i = 0; i < at.size(); ++i) moved[i] += mu * u[i];
      const double slope = (loss(moved) - loss(at)) / mu;
      for (std::size_t i = 0; i < at.size(); ++i) g[i] += slope * u[i] / 7;
    }
    return g;
  };
  const std::vector<double> g = naive(x);
  std::vector<double> moved = x;
  for (std::size_t i = 0; i < x.size(); ++i) moved[i] += mu * g[i];
  const std::vector<double> h = naive(moved);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(scores[i], -x[i] * (h[i] - g[i]) / mu, 1e-6 * (1 + std::abs(scores[i]))) << i;
  }
}

TEST(zo_grasp, asks_as_often_as_it_says_and_writes_nothing) {
  const std::vector<double> x = point(), before = x;
  index_t asked = 0;
  const auto counting = [&](std::span<const double> at) {
    ++asked;
    return loss(at);
  };
  const grasp_options options{.directions = 5};
  zo_grasp_scores(zo::seq, counting, x, options);
  EXPECT_EQ(asked, grasp_queries(options));
  EXPECT_EQ(x, before);
  EXPECT_THROW(zo_grasp_scores(
                   zo::seq, [](std::span<const double>) { return NAN; }, x, options),
               std::runtime_error);
}

// On a network: RGE with many directions against Hg from dense central differences of dense central
// differences.
TEST(zo_grasp, agrees_with_dense_differences_on_a_network) {
  const nn::network net = nn::mlp({3, 2, 2});
  const auto size = static_cast<std::size_t>(net.parameter_count());
  std::vector<double> x(size);
  nn::initialize<double>(net, nn::initialization::kaiming_normal, 5, x);
  for (std::size_t i = 0; i < size; ++i) x[i] += 0.1 * static_cast<double>(i % 3);
  const std::vector<double> inputs = {1, 2, -1, 0.5, 1, 1.5, -1, 2, 0.3, 1.2, 0.7, 0.9};
  const std::vector<index_t> targets = {0, 1, 1, 0};
  const auto f = [&](std::span<const double> p) {
    nn::forward_pass<double> pass(net);
    pass.run(zo::seq, p, {}, inputs, 4, nn::norm_mode::train);
    nn::cross_entropy entropy(targets, 2);
    return entropy.prepare<double>(pass.outputs());
  };
  const auto dense = [&](std::vector<double> p) {
    std::vector<double> g(size);
    for (std::size_t i = 0; i < size; ++i) {
      const double at = p[i], h = 1e-5;
      p[i] = at + h;
      const double above = f(p);
      p[i] = at - h;
      g[i] = (above - f(p)) / (2 * h);
      p[i] = at;
    }
    return g;
  };
  const std::vector<double> g = dense(x);
  std::vector<double> above = x, below = x;
  for (std::size_t i = 0; i < size; ++i) {
    above[i] += 1e-4 * g[i];
    below[i] -= 1e-4 * g[i];
  }
  const std::vector<double> up = dense(above), down = dense(below);
  const auto scores =
      zo_grasp_scores(zo::par, f, x, {.directions = 60'000, .smoothing = 1e-4, .seed = 8});
  double dot = 0, ours = 0, theirs = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const double expected = -x[i] * (up[i] - down[i]) / 2e-4;
    dot += scores[i] * expected;
    ours += scores[i] * scores[i];
    theirs += expected * expected;
  }
  EXPECT_GT(dot / std::sqrt(ours * theirs), 0.99);
  EXPECT_NEAR(std::sqrt(ours / theirs), 1, 0.05);
}

// mlp {2, 3, 2}: weights at 0 … 5 and 9 … 14, biases at 6 … 8 and 15, 16.
std::vector<double> scores_of_small() {
  std::vector<double> s(17, 100.0);
  const std::vector<double> first = {-6, -5, 4, 3, 2, 1}, second = {-4, -3, -2, -1, 8, 9};
  std::ranges::copy(first, s.begin());
  std::ranges::copy(second, s.begin() + 9);
  return s;
}

TEST(layer_counts, keep_the_lowest_scores_of_all_layers_together) {
  const nn::network net = nn::mlp({2, 3, 2});
  const auto counts = [&](double sparsity) {
    return layer_counts(net, scores_of_small(), sparsity);
  };
  EXPECT_EQ(counts(0), (std::vector<index_t>{6, 3, 6, 2}));
  EXPECT_EQ(counts(0.5), (std::vector<index_t>{2, 3, 4, 2}));
  // 1 of 12 remains, in the first layer; the other keeps one all the same.
  EXPECT_EQ(counts(0.9), (std::vector<index_t>{1, 3, 1, 2}));
}

TEST(coordinate_sets, have_their_counts_and_are_new_each_time) {
  const nn::network net = nn::adjustable_cnn({1, 8, 8}, 6, 2);
  std::vector<index_t> counts;
  for (const nn::view& v : net.parameters())
    counts.push_back(is_prunable(v) ? 1 + v.size / 5 : v.size);
  std::set<std::vector<index_t>> sets;
  std::vector<index_t> seen(static_cast<std::size_t>(net.parameter_count()));
  for (std::uint64_t number = 0; number < 60; ++number) {
    const std::vector<index_t> set = coordinate_set(net, counts, 4, number);
    sets.insert(set);
    EXPECT_TRUE(std::ranges::is_sorted(set));
    EXPECT_EQ(std::set<index_t>(set.begin(), set.end()).size(), set.size());
    std::vector<index_t> found(counts.size());
    for (const index_t i : set) {
      ++found[static_cast<std::size_t>(&net.parameter_of(i) - net.parameters().data())];
      ++seen[static_cast<std::size_t>(i)];
    }
    EXPECT_EQ(found, counts);
  }
  EXPECT_EQ(sets.size(), 60);
  EXPECT_EQ(coordinate_set(net, counts, 4, 7), coordinate_set(net, counts, 4, 7));
  EXPECT_NE(coordinate_set(net, counts, 4, 7), coordinate_set(net, counts, 5, 7));
  EXPECT_GT(std::ranges::min(seen), 0);  // 0.8^60: no coordinate is left out for ever
}

}  // namespace
