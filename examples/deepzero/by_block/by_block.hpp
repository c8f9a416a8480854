// The gradient of a network by coordinates, block by block: a network is cut behind its layers with
// products and at its sums, and each block is asked by itself, the last one first.
//
// Asked about the loss, a weight costs what all later layers cost. Here a later block has said
// already what each of its inputs is worth, the cotangent: so a question ends at the end of its own
// block, where the change of the outputs is paired with their cotangent. Weights are asked by
// zo::cge, and then the inputs of the block, which are the outputs of one before. A sum passes its
// cotangent on to both its parts. Every number is asked, so nothing is random and no error grows
// from block to block but that of the steps.
//
// An input is moved in all samples at once, because batch norms keep the statistics of the batch;
// and every number far enough from it in the same channel is moved along, because they reach
// different outputs (Curtis, Powell and Reid, 1974). What the samples do to each other through the
// statistics is added as slopes of its own: a batch norm's input x has the total derivatives
// a = dL/dmean and b = dL/dvariance of activation/activation.hpp, so each number of it is worth
// (a + 2 b (x - mean)) / N beside what it does to the outputs, and inputs are asked about that too.
//
// Access: values between blocks, which it reads and sets; the outputs of a block for inputs and
// weights of its choice; of the layers, which numbers an output can depend on, and what a batch
// norm takes the mean and variance of. No layer is differentiated. Source:
// cotangents of middle values by queries, there by halves of the depth: HZO, arXiv 2602.10607.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>
#include <zo/config.hpp>
#include <zo/estimate.hpp>
#include <zo/execution.hpp>
#include <zo/nn/difference_pass.hpp>
#include <zo/nn/forward.hpp>
#include <zo/nn/loss.hpp>
#include <zo/nn/network.hpp>
#include <zo/nn/objective.hpp>

#include "reach.hpp"

namespace deepzero {

struct by_block_options {
  /// mu: by how much one number of a value between blocks moves. Differences are not subtracted, so
  /// nothing asks for more.
  double smoothing = 1e-6;
  /// Deviation of Gaussian noise that inputs get first, well below what an image is rounded to.
  /// Where an image is constant, numbers before a max pool are equal; each of them raises the
  /// maximum, none lowers it, and their slopes would be counted several times.
  double dither = 1e-3;
};

/// A block: values first … last, of which the first is made of `input` and each other one of the
/// one before.
struct block_range {
  zo::index_t input = 0, first = 1, last = 1;
};

/// The blocks of a network, in their order; its sums are in none. A block ends behind each layer
/// with products, at the smallest value between two of them (or before the mean over the image),
/// and at values that several others, or a sum, read.
std::vector<block_range> blocks_of(const zo::nn::network& net);

template <class T>
using block_objective = zo::nn::objective<T, zo::nn::paired_outputs<T>>;

/// How the weights of a block are asked, and how the other questions are shared among processes; by
/// default all are asked here.
template <class T>
struct by_block_calls {
  /// zo::estimate of the objective at x with zo::cge.
  std::function<zo::estimate_result(block_objective<T>& f, std::span<const T> x,
                                    std::span<T> gradient)>
      weights;
  /// As `sharing` of activation/activation.hpp.
  std::function<void(std::span<double> answers, zo::index_t piece,
                     const std::function<void(zo::index_t first, std::span<double> mine)>& ask)>
      shared{};
};

struct by_block_result {
  double value = 0;  ///< the loss of the batch
  bool ok = true;    ///< whether all answers were numbers
  std::int64_t queries = 0;
  double passes = 0;                ///< whole ones, by multiplications: every process makes those
  zo::index_t multiplications = 0;  ///< of the questions that were asked here
};

/// Batch norms in train mode. Holds the passes of all blocks from one estimate to the next: memory
/// of two passes of the batch, and for each thread of a block's differences. Throws
/// std::invalid_argument for batches that a forward_pass refuses.
template <class T>
class block_estimator {
 public:
  explicit block_estimator(const zo::nn::network& net);
  ~block_estimator();

  /// Writes the gradient of the mean loss of the batch, at the parameters and the dithered inputs.
  /// The same bits for any number of threads, and however the answers are shared. Cost in
  /// queries: 1, 2 an output, d and 1 for each block with weights, and for the inputs of each block
  /// one for each channel, row and column of the period.
  by_block_result operator()(const zo::execution_policy auto& on, const zo::nn::minibatch<T>& batch,
                             std::span<const T> parameters, std::span<const T> statistics,
                             const by_block_options& options, std::span<T> gradient,
                             const by_block_calls<T>& calls) {
    return estimate(zo::detail::threads_of(on), batch, parameters, statistics, options, gradient,
                    calls);
  }

  /// The pass of the last estimate, for running statistics.
  const zo::nn::forward_pass<T>& pass() const { return pass_; }

 private:
  class block;
  std::vector<T> dithered(const std::vector<T>& inputs, double deviation);
  by_block_result estimate(int threads, const zo::nn::minibatch<T>& batch,
                           std::span<const T> parameters, std::span<const T> statistics,
                           const by_block_options& options, std::span<T> gradient,
                           const by_block_calls<T>& calls);

  zo::nn::forward_pass<T> pass_;
  std::vector<std::unique_ptr<block>> blocks_;
  std::vector<T> noise_;  // of deviation 1, as many as inputs so far
};

}  // namespace deepzero
