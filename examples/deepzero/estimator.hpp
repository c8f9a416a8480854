// Gradients of the training loss, by whatever means, behind one interface.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include <zo/nn/forward.hpp>
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
  /// Throws std::runtime_error when the loss is not a number.
  virtual answer operator()(const question& asked, std::span<float> gradient) = 0;

  /// The pass in train mode at the parameters of the last question, which running statistics
  /// follow.
  virtual const zo::nn::forward_pass<float>& pass() const = 0;
};

/// The estimator of a name of estimator_names(), for epochs of `per_epoch` steps. `counts` says how
/// many coordinates of each parameter sparse-cge asks, a new set every s.interval epochs; the
/// others do not look at it. Several processes share the queries, but for those of first-order and
/// activations: there each makes the whole step.
std::unique_ptr<estimator> make_estimator(const std::string& name, const zo::nn::network& net,
                                          std::span<const zo::index> counts, std::int64_t per_epoch,
                                          const settings& s, const app::processes& all);

/// Random directions per step of rge, and per layer and image of activations.
std::int64_t directions_of(const zo::nn::network& net, const settings& s);

/// Throws the sentence about a loss that is not a number.
[[noreturn]] void refuse_loss(std::int64_t step);

}  // namespace deepzero
