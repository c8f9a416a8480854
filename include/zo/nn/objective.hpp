// A network and its data as a coordinate objective: plain zo::cge trains it.
#pragma once

#include <algorithm>
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

struct objective_options {
  norm_mode mode = norm_mode::train;
  int threads = 1;                          ///< at least 1; each has one probe at a time
  nn::products products = products::exact;  ///< of probes; values of whole points are always exact
  index max_bytes = index{4} << 30;         ///< for the values of a pass and the probes: fewer
                                            ///< probes at a time where they would not fit
};

/// Models zo::coordinate_objective (and zo::sampled_objective) over the flat vector of parameters:
/// the loss of a minibatch that `batch_of` names by its sample. prepare makes one pass; each probe
/// costs what its channel reaches. The estimate is the same bits for any number of threads. Throws
/// std::invalid_argument where a batch does not fit into max_bytes.
template <class T, class Loss = cross_entropy>
class objective {
 public:
  /// `statistics` are the running ones; they are read in eval mode and updated by nobody here.
  objective(const network& net, std::function<minibatch<T, Loss>(sample_id)> batch_of,
            std::span<const T> statistics, const objective_options& options = {})
      : net_(net),
        batch_of_(std::move(batch_of)),
        statistics_(statistics),
        options_(options),
        pass_(std::make_unique<forward_pass<T>>(net)) {
    zo::detail::require(options.threads >= 1, "zo::nn::objective: threads must be at least 1, got ",
                        options.threads);
    for (const view& v : net.parameters()) {
      costs_.resize(std::max(costs_.size(), static_cast<std::size_t>(v.node) + 1));
      costs_[static_cast<std::size_t>(v.node)] = cost_from(net, v.node, true);
    }
  }

  double prepare(std::span<const T> parameters, sample_id sample) {
    batch_.emplace(batch_of_(sample));
    const int probes = probes_that_fit(batch_->count);
    pass_->run(parameters, statistics_, batch_->inputs, batch_->count, options_.mode,
               options_.threads);
    if (options_.products == products::bfloat16) pass_->round_weights(parameters);
    makers_.resize(std::min(makers_.size(), static_cast<std::size_t>(probes)));
    while (static_cast<int>(makers_.size()) < probes) {
      makers_.push_back(
          std::make_unique<difference_pass<T>>(net_, *pass_, parameters, options_.products));
    }
    for (auto& maker : makers_) maker->begin(parameters);
    return batch_->loss.template prepare<T>(pass_->outputs());
  }

  void probe(std::span<const index> coordinates, std::span<const T> steps,
             std::span<double> differences) {
    auto one = [&](index k, int worker) {
      const auto at = static_cast<std::size_t>(k);
      const std::span<const T> changed =
          (*makers_[static_cast<std::size_t>(worker)])(coordinates[at], steps[at]);
      differences[at] = batch_->loss.template difference<T>(changed.data());
    };
    zo::detail::run_loop(static_cast<int>(makers_.size()), static_cast<index>(coordinates.size()),
                         zo::detail::loop_body(one));
  }

  /// Of a probe: cost_from, by which early layers cost more than late ones, and what every probe
  /// takes besides, which is nearly all that one of the last layer takes.
  double cost(index coordinate) const {
    constexpr double every_probe = 1e4;  // of ResNet-20, in multiplications of a sample
    return every_probe + costs_[static_cast<std::size_t>(net_.parameter_of(coordinate).node)];
  }

  /// A whole evaluation, without differences: what RGE asks.
  double operator()(std::span<const T> parameters, sample_id sample) const {
    minibatch<T, Loss> batch = batch_of_(sample);
    forward_pass<T> pass(net_);
    pass.run(parameters, statistics_, batch.inputs, batch.count, options_.mode);
    return batch.loss.template prepare<T>(pass.outputs());
  }

  /// The pass of the last prepare, for accuracies and running statistics.
  const forward_pass<T>& pass() const { return *pass_; }

  /// Multiplications of the probes since the last prepare, to be compared with those of a whole
  /// pass: network::multiplications() times the samples of the batch.
  index multiplications() const {
    index sum = 0;
    for (const auto& maker : makers_) sum += maker->multiplications();
    return sum;
  }

 private:
  int probes_that_fit(index count) const {
    const index pass = pass_bytes<T>(net_, count), probe = difference_bytes<T>(net_, count);
    const index fit = (options_.max_bytes - pass) / probe;
    zo::detail::require(fit >= 1, "zo::nn::objective: ", count, " samples need ", pass,
                        " bytes for a pass and ", probe,
                        " for a probe, more than max_bytes = ", options_.max_bytes,
                        "; use smaller batches or allow more");
    return static_cast<int>(std::min<index>(options_.threads, fit));
  }

  const network& net_;
  std::function<minibatch<T, Loss>(sample_id)> batch_of_;
  std::span<const T> statistics_;
  objective_options options_;
  std::vector<double> costs_;                // by node
  std::unique_ptr<forward_pass<T>> pass_;    // the makers keep its address
  std::optional<minibatch<T, Loss>> batch_;  // of the last prepare
  std::vector<std::unique_ptr<difference_pass<T>>> makers_;
};

}  // namespace zo::nn
