// Gradients of weights from questions about activations: a layer's outputs are moved, each sample
// in a direction of its own, and one pass from there on answers for all samples at once.
//
// This is no black-box method. Only what comes after the moved value is asked; what comes before it
// is differentiated, by formulas that know its layers. The outputs z of a layer are followed as far
// as every number stays by itself, and moved there, at the `point`: after a ReLU only what is above
// zero matters, after a pool there is less of it. The slopes found there go back to z through the
// transposed Jacobians of the layers between (batch norm, with its sums over the batch; ReLU; max,
// average and global average pool; sum; subsampling), and from z to the weights through that of the
// convolution or linear map itself, the correlation with its input. That is one short stretch of
// back-propagation, which needs their values and kinds; it never reaches an earlier layer.
//
// Directions. The n active numbers of a sample are dealt out to its q directions, each with a
// random sign: direction k moves every q-th number by +-mu. So directions are orthogonal, the
// estimate is unbiased to first order in mu for every q, its variance is (n / q - 1) |g|^2 instead
// of the (n - 1) / q |g|^2 of q independent directions, and q = n is the coordinate-wise estimate,
// exact.
//
// Samples do not interact, because every batch norm after the point keeps the statistics of the
// batch. What a sample does to the loss through those statistics is added in closed form: with
// total derivatives a = dL/dmean = -gamma/root dL/dbeta and b = dL/dvariance = -gamma/(2 root^2)
// dL/dgamma of a later batch norm, c = its input - mean, and N numbers in each of its channels,
//   dL_sample = frozen difference + sum (a sum(d) + b sum(d (2 c + d))) / N.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>
#include <zo/config.hpp>
#include <zo/execution.hpp>
#include <zo/nn/difference_pass.hpp>
#include <zo/nn/forward.hpp>
#include <zo/nn/loss.hpp>
#include <zo/nn/network.hpp>
#include <zo/nn/objective.hpp>
#include <zo/random.hpp>

namespace deepzero {

/// How the directions are shared out among the samples.
enum class share : std::uint8_t {
  even,           ///< the same number for each
  by_sensitivity  ///< in proportion to how much the loss depends on a sample's outputs, plus a
                  ///< tenth of the mean (0.3 where batch norms follow): of a trained network's
                  ///< batch, few samples matter; and all that a sample could be asked, where
                  ///< `directions` are enough for that
};

struct activation_options {
  zo::index_t directions = 64;  ///< a sample, on average; at least 1
  double smoothing = 1e-4;      ///< mu: by how much one number moves
  share shares = share::by_sensitivity;
};

/// Has a part of the answers found elsewhere: calls ask(first, mine) for those of this process,
/// from number `first` on, and fills in the others. Pieces of `piece` answers are not divided.
using sharing =
    std::function<void(std::span<double> answers, zo::index_t piece,
                       const std::function<void(zo::index_t first, std::span<double> mine)>& ask)>;

/// What an estimate did.
struct activation_result {
  zo::index_t point = -1;           ///< the value that was moved
  zo::index_t active = 0;           ///< numbers of it that mattered, all samples together
  zo::index_t questions = 0;        ///< (sample, direction) pairs asked
  zo::index_t multiplications = 0;  ///< of the differences that were asked here
};

/// Where a layer's outputs are moved, and what lies between.
struct activation_chain {
  std::vector<zo::index_t> nodes;  ///< from the layer itself to the point
  zo::index_t point() const { return nodes.back(); }
};
activation_chain chain_of(const zo::nn::network& net, zo::index_t layer);

/// The loss of a batch as a mean of parts, one of each sample. The network's outputs may go on to
/// whoever answers.
template <class T>
class sample_losses {
 public:
  virtual ~sample_losses() = default;
  /// The loss at these outputs, samples x outputs, from which later differences are taken.
  virtual double prepare(std::span<const T> outputs) = 0;
  /// How strongly the loss depends on the outputs of each sample; all alike where nobody knows.
  virtual std::vector<double> sensitivities() const = 0;
  /// As zo::nn::cross_entropy::differences. Called by several threads at once.
  virtual void differences(std::span<const zo::index_t> samples, std::span<const T> changes,
                           std::span<double> parts) const = 0;
};

/// One minibatch, and estimates of its gradient layer by layer. Makes two passes of the batch, and
/// keeps nothing of the caller's. Memory: one pass, and for an estimate a few times the values of
/// the layer and its point. Throws std::invalid_argument for a batch that a forward_pass would
/// refuse.
template <class T>
class activation_estimator {
 public:
  /// Passes and estimates run on the threads of the policy `on`.
  activation_estimator(const zo::execution_policy auto& on, const zo::nn::network& net,
                       const zo::nn::minibatch<T>& batch, std::span<const T> parameters,
                       std::span<const T> statistics, zo::nn::norm_mode mode)
      : activation_estimator(on, net, batch.inputs, batch.count, losses_of(batch.loss), parameters,
                             statistics, mode) {}
  /// Of `count` inputs whose outputs `losses` judges. It is asked for the outputs of the batch at
  /// once, and then for differences.
  activation_estimator(const zo::execution_policy auto& on, const zo::nn::network& net,
                       std::span<const T> inputs, zo::index_t count,
                       std::unique_ptr<sample_losses<T>> losses, std::span<const T> parameters,
                       std::span<const T> statistics, zo::nn::norm_mode mode)
      : activation_estimator(zo::detail::threads_of(on), net, inputs, count, std::move(losses),
                             parameters, statistics, mode) {}

  /// The loss of the batch.
  double value() const { return value_; }

  /// Writes the estimate for the parameters of one convolution, linear map or batch norm into its
  /// place of `gradient`, which has all parameters. Of a batch norm, beta and gamma are moved, each
  /// sample's own: 2 x channels numbers a sample. In train mode the gradients of the batch norms
  /// after the point are read from `gradient`, so they come first: exactly by zo::cge of their
  /// coordinates, or by going from the last value to the first here. The directions are pure
  /// functions of (seed, step, layer, sample); the same bits for any number of threads, and however
  /// the answers are `shared`; empty: all are found here. Cost: as the result says. Throws
  /// std::invalid_argument.
  activation_result estimate(zo::index_t layer, const activation_options& options,
                             const zo::stream& from, std::span<T> gradient,
                             const sharing& shared = {}) const;

 private:
  activation_estimator(int threads, const zo::nn::network& net, std::span<const T> inputs,
                       zo::index_t count, std::unique_ptr<sample_losses<T>> losses,
                       std::span<const T> parameters, std::span<const T> statistics,
                       zo::nn::norm_mode mode);
  static std::unique_ptr<sample_losses<T>> losses_of(const zo::nn::cross_entropy& loss);

  struct effect {
    std::vector<double> of_mean, of_variance;  // by channel
  };
  struct deal;

  activation_result estimate_norm(zo::index_t id, const activation_options& options,
                                  const zo::stream& from, std::span<T> gradient,
                                  const sharing& shared) const;
  activation_result estimate_weights(zo::index_t layer, const activation_options& options,
                                     const zo::stream& from, std::span<T> gradient,
                                     const sharing& shared) const;
  template <class Move>
  std::vector<T> ask(zo::index_t layer, zo::index_t units,
                     const std::vector<std::vector<std::int32_t>>& active,
                     const activation_options& options, const zo::stream& from,
                     std::span<const T> gradient, const sharing& shared, activation_result& result,
                     const Move& move) const;
  template <class Move>
  void answer_round(const deal& dealt, zo::index_t round, T step,
                    const std::vector<effect>& effects, zo::nn::difference_pass<T>& maker,
                    zo::index_t point, const Move& move, std::span<double> answers) const;
  std::vector<effect> effects_after(zo::index_t point, std::span<const T> gradient) const;
  std::vector<zo::index_t> shared_out(const activation_options& options,
                                      const std::vector<zo::index_t>& active, bool coupled) const;

  const zo::nn::network& net() const { return pass_.net(); }

  std::vector<T> parameters_;
  zo::nn::norm_mode mode_;
  int threads_;
  std::unique_ptr<sample_losses<T>> losses_;
  double value_ = 0;
  std::vector<double> sensitivities_;  // descending
  std::vector<zo::index_t> order_;     // the samples, most sensitive first
  zo::nn::forward_pass<T> pass_;       // in that order, with the statistics of the batch
};

}  // namespace deepzero
