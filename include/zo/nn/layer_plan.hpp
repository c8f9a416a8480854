// Which questions are the cheapest for each layer: about its weights, or about its activations.
//
// The model, for one convolution or linear map of W weights (biases included) whose point has n
// active numbers a sample, with S the square of its gradient:
//   weights      m of W coordinates, chosen at random and scaled by W / m: noise = S (W / m - 1).
//                One probe moves one channel.
//   activations  q directions a sample: noise = K (1/q - 1/n). One question is a pass of one sample
//                from the point on.
// Both are without bias, so that the whole estimate has cosine^2 = sum S / (sum S + sum noise). The
// cheapest plan spends where a pass takes away most noise: for one price of noise, lambda,
// m = sqrt(S W / (lambda cost)) or q = sqrt(K / (lambda cost)), whichever has the smaller noise +
// lambda passes; and lambda is the one that gives the cosine, or spends the budget.
// S and K come from a pilot: two independent estimates A and B of a few directions, S = A.B and
// noise = |A|^2 / 2 + |B|^2 / 2 - S. Where S drowns, it is taken as one standard error of A.B,
// noise / sqrt(W), so that noise is never taken for a gradient.
//
// Batch norms come first, at a cosine of 0.9 or more: activations before them need their
// gradients.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/activation.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/loss.hpp"
#include "zo/nn/network.hpp"
#include "zo/nn/objective.hpp"
#include "zo/random.hpp"

namespace zo::nn {

/// Whose gradient is asked for: the batch, the weights, and how. References stay the caller's.
template <class T, class Loss = cross_entropy>
struct layered_problem {
  const network& net;
  const minibatch<T, Loss>& batch;
  std::span<const T> parameters;
  std::span<const T> statistics;
  norm_mode mode = norm_mode::train;
  int threads = 1;
};

struct plan_options {
  /// Expected between the whole estimate and the gradient: above 0, at most 1 (exact).
  double cosine = 0.5;
  /// A budget in forward passes of the batch, to be spent in place of asking for a cosine.
  std::optional<double> passes{};
  /// Directions of each of the two estimates of the pilot, at least 1. What the plan expects is no
  /// better than they are: with too few, layers whose S is overestimated by chance disappoint.
  index_t pilot = 16;
};

enum class question : std::uint8_t { weights, activations };

/// What is asked about one layer (or batch norm), and why.
struct layer_choice {
  index_t node = -1;
  question about = question::weights;
  index_t questions = 0;  ///< coordinates, or directions a sample
  double passes = 0;      ///< cost in forward passes of the batch
  double cosine = 0;      ///< expected
  std::string why{};      ///< a sentence
};

struct layer_plan {
  std::vector<layer_choice> layers;  ///< from the last value to the first, as they are asked
  double pilot_passes = 0;           ///< what planning cost

  double passes() const {
    double sum = 0;
    for (const layer_choice& c : layers) sum += c.passes;
    return sum;
  }
};

/// Chooses for every layer. A plan holds as long as the network behaves alike: make one now and
/// then, not every step. Throws std::invalid_argument for bad options, and for a budget that does
/// not pay for the batch norms, with what they need.
template <class T, class Loss>
layer_plan plan_layers(const layered_problem<T, Loss>& problem, const plan_options& options,
                       const stream& from);

/// Writes the gradient of the loss as planned: every parameter, without bias to first order in the
/// steps. Returns the loss of the batch. The same bits for any number of threads.
template <class T, class Loss>
double estimate_layers(const layered_problem<T, Loss>& problem, const layer_plan& plan,
                       const stream& from, std::span<T> gradient);

}  // namespace zo::nn
