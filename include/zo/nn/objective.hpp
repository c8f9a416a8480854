// A network and its data as a coordinate objective: plain zo::cge trains it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/nn/difference_pass.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/loss.hpp"
#include "zo/nn/network.hpp"
#include "zo/objective.hpp"

namespace zo::nn {

/// Samples and what is wanted of them.
template <class T, class Loss = cross_entropy>
struct minibatch {
  std::vector<T> inputs;  // count x input, row-major
  index count = 0;
  Loss loss;
};

/// Models zo::coordinate_objective (and zo::sampled_objective) over the flat vector of parameters:
/// the loss of a minibatch that `batch_of` names by its sample. prepare makes one pass; each probe
/// costs what its channel reaches. The estimate is the same bits for any number of threads.
template <class T, class Loss = cross_entropy>
class objective {
 public:
  /// `statistics` are the running ones; they are read in eval mode and updated by nobody here.
  objective(const network& net, std::function<minibatch<T, Loss>(sample_id)> batch_of,
            std::span<const T> statistics, norm_mode mode = norm_mode::train, int threads = 1)
      : net_(net),
        batch_of_(std::move(batch_of)),
        statistics_(statistics),
        mode_(mode),
        threads_(threads),
        pass_(net) {
    zo::detail::require(threads >= 1, "zo::nn::objective: threads must be at least 1, got ",
                        threads);
  }

  double prepare(std::span<const T> parameters, sample_id sample) {
    parameters_ = parameters;
    batch_.emplace(batch_of_(sample));
    pass_.run(parameters, statistics_, batch_->inputs, batch_->count, mode_, threads_);
    makers_.clear();
    for (int k = 0; k < threads_; ++k) {
      makers_.push_back(std::make_unique<difference_pass<T>>(net_, pass_, parameters_));
    }
    return batch_->loss.template prepare<T>(pass_.outputs());
  }

  void probe(std::span<const index> coordinates, std::span<const T> steps,
             std::span<double> differences) {
    auto one = [&](index k, int worker) {
      const auto at = static_cast<std::size_t>(k);
      const std::span<const T> changed =
          (*makers_[static_cast<std::size_t>(worker)])(coordinates[at], steps[at]);
      differences[at] = batch_->loss.template difference<T>(changed.data());
    };
    zo::detail::run_loop(threads_, static_cast<index>(coordinates.size()),
                         zo::detail::loop_body(one));
  }

  /// A whole evaluation, without differences: what RGE asks.
  double operator()(std::span<const T> parameters, sample_id sample) const {
    minibatch<T, Loss> batch = batch_of_(sample);
    forward_pass<T> pass(net_);
    pass.run(parameters, statistics_, batch.inputs, batch.count, mode_);
    return batch.loss.template prepare<T>(pass.outputs());
  }

  /// The pass of the last prepare, for accuracies and running statistics.
  const forward_pass<T>& pass() const { return pass_; }

 private:
  const network& net_;
  std::function<minibatch<T, Loss>(sample_id)> batch_of_;
  std::span<const T> statistics_;
  norm_mode mode_;
  int threads_;
  forward_pass<T> pass_;
  std::optional<minibatch<T, Loss>> batch_;  // of the last prepare
  std::span<const T> parameters_;
  std::vector<std::unique_ptr<difference_pass<T>>> makers_;
};

}  // namespace zo::nn
