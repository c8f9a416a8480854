// Which coordinates CGE asks where it does not ask all: ZO-GraSP, pruning ratios of layers, random
// sets.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>
#include <zo/estimate.hpp>
#include <zo/nn/network.hpp>
#include <zo/rge.hpp>

namespace deepzero {

struct grasp_options {
  zo::index_t directions = 192;  ///< q of each of the two gradient estimates
  double smoothing = 5e-3;       ///< mu, of the estimates and of the step along the gradient
  std::uint64_t seed = 0;
};

/// ZO-GraSP scores of all coordinates of x:
///   S = -x * [g(x + mu g(x)) - g(x)] / mu,
/// where g is the RGE with q Gaussian directions. The bracket is mu H g: S tells how much the
/// squared norm of the gradient would grow if the coordinate were set to zero, to first order and
/// up to a factor 2. Both estimates use the same directions and data, so that mu divides the change
/// of the gradient and not the noise of two estimates. x is not written.
///
/// Queries: 2 q + 2. Throws std::runtime_error when the loss is not a number.
/// Sources: DeepZero (Chen et al., ICLR 2024), section 4; GraSP (Wang et al., ICLR 2020).
template <zo::execution_policy Policy, class F>
std::vector<double> zo_grasp_scores(const Policy& policy, F&& f, std::span<const double> x,
                                    const grasp_options& options) {
  const zo::rge how({.directions = options.directions, .smoothing = options.smoothing});
  const auto gradient_at = [&](std::span<const double> point) {
    std::vector<double> gradient(point.size());
    if (!zo::estimate(policy, f, point, gradient, how, {.seed = options.seed}).ok) {
      throw std::runtime_error("ZO-GraSP cannot score the weights: the loss is not a number");
    }
    return gradient;
  };
  const std::vector<double> here = gradient_at(x);
  std::vector<double> moved(x.begin(), x.end());
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += options.smoothing * here[i];
  std::vector<double> scores = gradient_at(moved);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = -x[i] * (scores[i] - here[i]) / options.smoothing;
  }
  return scores;
}

/// Queries of zo_grasp_scores.
inline zo::index_t grasp_queries(const grasp_options& options) {
  return 2 * options.directions + 2;
}

/// Whether a parameter is pruned at all: weights of convolutions and linear maps are; biases and
/// batch norms are always asked.
bool is_prunable(const zo::nn::view& parameter);

/// For each parameter of the network, how many of its coordinates are asked. All prunable
/// coordinates are ranked together by their scores; the share `sparsity` with the highest scores,
/// whose loss hurts the gradient least, is left out, and each parameter keeps as many as remain of
/// it, but at least 1.
std::vector<zo::index_t> layer_counts(const zo::nn::network& net, std::span<const double> scores,
                                      double sparsity);

/// A random set with these counts, ascending; sets of different numbers are independent.
std::vector<zo::index_t> coordinate_set(const zo::nn::network& net,
                                        std::span<const zo::index_t> counts, std::uint64_t seed,
                                        std::uint64_t number);

}  // namespace deepzero
