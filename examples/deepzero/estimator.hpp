// Gradients of the training loss, by whatever means, behind one interface.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include <zo/cge.hpp>
#include <zo/nn/difference_pass.hpp>
#include <zo/nn/network.hpp>

#include "common/processes.hpp"
#include "images.hpp"
#include "settings.hpp"

namespace deepzero {

/// One gradient asked for.
struct question {
  std::span<const float> parameters;
  std::span<const float> statistics;
  const minibatch& batch;
  std::int64_t step = 0;  ///< of the run, from 0
};

struct answer {
  double loss = 0;  ///< of the batch
  std::int64_t queries = 0;
  double passes = 0;  ///< the work, in forward passes of the batch, by multiplications
};

/// Everything random is a function of the seed and the step: an estimator has no state to save.
class estimator {
 public:
  virtual ~estimator() = default;

  /// Writes the gradient of the mean loss of the batch into `gradient`, one number a parameter.
  /// Throws std::runtime_error when an answer is not a number.
  virtual answer operator()(const question& asked, std::span<float> gradient) = 0;

  /// Moves running statistics towards those of the batch of the last question, at its parameters.
  virtual void update_statistics(std::span<float> statistics) = 0;
};

/// Which coordinates an estimate asks: all, or a new set every few steps.
class coordinate_sets {
 public:
  /// `counts` says how many of each parameter; empty: all.
  coordinate_sets(const zo::nn::network& net, std::span<const zo::index_t> counts,
                  std::int64_t steps_per_set, const settings& s);

  /// The estimator of a step.
  const zo::cge<>& at(std::int64_t step);
  std::span<const zo::index_t> counts() const { return counts_; }

 private:
  const zo::nn::network& net_;
  std::vector<zo::index_t> counts_;
  std::int64_t steps_per_set_;
  const settings& s_;
  std::int64_t set_ = -1;
  zo::cge<> how_;
};

/// The estimator of a name of estimator_names(), for epochs of `per_epoch` steps. `counts` says how
/// many coordinates of each parameter sparse-cge asks, a new set every s.interval epochs; the
/// others do not look at it. Several processes share the
/// queries; of first-order each makes the whole step.
std::unique_ptr<estimator> make_estimator(const std::string& name, const zo::nn::network& net,
                                          std::span<const zo::index_t> counts,
                                          std::int64_t per_epoch, const settings& s,
                                          const app::processes& all);

/// Where in the run the question is: all processes must ask the same one.
zo::estimate_options place_of(const question& asked, const settings& s);

/// Random directions per step of rge, and per layer and image of activations.
std::int64_t directions_of(const zo::nn::network& net, const settings& s);

/// In what s.products says that products of differences are formed.
zo::nn::products products_of(const settings& s);

/// Throws the sentence about a step whose estimate cannot be used: `loss` is that of its batch, and
/// where it is a number, the answers to the questions around it are not.
[[noreturn]] void refuse_estimate(std::int64_t step, double loss, const settings& s);

}  // namespace deepzero
