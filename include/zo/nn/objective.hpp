// A network and its data as a coordinate objective: plain zo::cge trains it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <type_traits>
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
  index_t count = 0;
  Loss loss;
};

struct objective_options {
  norm_mode mode = norm_mode::train;
  nn::products products = products::exact;  ///< of probes; values of whole points are always exact
  index_t max_bytes = index_t{4} << 30;     ///< for the values of a pass and the probes: fewer
                                            ///< threads where they would not fit; and as much for
                                            ///< whole points that are asked at once
};

/// Models zo::coordinate_objective (and zo::sampled_objective) over the flat vector of parameters:
/// the loss of a minibatch that `batch_of` names by its sample. prepare makes one pass; each probe
/// costs what its channel reaches. Each thread of the policy has one probe at a time; the estimate
/// is the same bits for any number of threads.
///
/// The network is copied. `batch_of` is called by one thread at a time, also where whole points are
/// asked by several, and must say the same for the same sample. Throws std::invalid_argument where
/// a batch does not fit the network or max_bytes, or has no samples.
template <class T, class Loss = cross_entropy>
class objective {
 public:
  /// `statistics` are the running ones; they are read in eval mode and updated by nobody here. They
  /// stay the caller's, who may move them between estimates, and must outlive this.
  objective(const network& net, std::function<minibatch<T, Loss>(sample_id)> batch_of,
            std::span<const T> statistics, const objective_options& options = {})
      : batch_of_(std::move(batch_of)),
        statistics_(statistics),
        options_(options),
        pass_(std::make_unique<forward_pass<T>>(net)),
        whole_(std::make_unique<whole_passes>()) {
    using zo::detail::require;
    require(batch_of_ != nullptr, who, ": there is no function that makes batches");
    require(static_cast<index_t>(statistics.size()) == net.statistic_count(), who,
            ": the network has ", net.statistic_count(), " statistics, got ", statistics.size());
    require(options.max_bytes >= 1, who, ": max_bytes must be at least 1, got ", options.max_bytes);
    require(options.products == products::exact || sizeof(T) == sizeof(float), who,
            ": products in bfloat16 are for networks of float");
  }
  /// Statistics that would be gone at once.
  template <class Numbers>
  requires std::is_same_v<Numbers, std::vector<T>> objective(
      const network&, std::function<minibatch<T, Loss>(sample_id)>, Numbers&& statistics,
      const objective_options& = {})
  = delete;

  double prepare(const execution_policy auto& on, std::span<const T> parameters, sample_id sample) {
    prepared_ = false;
    batch_.emplace(next_batch(sample));
    const index_t count = batch_->count;
    if (count != probes_are_of_) {
      // What was made for more samples is not kept beside what more threads may use now.
      makers_.clear();
      most_probes_ = probes_that_fit(count);
      probes_are_of_ = count;
    }
    pass_->run(on, parameters, statistics_, batch_->inputs, count, options_.mode);
    pass_->prepare_differences(options_.products);
    for (auto& maker : makers_) maker->begin();
    const double value = batch_->loss.template prepare<T>(pass_->outputs());
    if constexpr (is_paired) pass_->pair_with(batch_->loss.cotangent());
    prepared_ = true;
    return value;
  }

  void probe(const execution_policy auto& on, std::span<const index_t> coordinates,
             std::span<const T> steps, std::span<double> differences) {
    zo::detail::require(prepared_, who, ": prepare comes before probes");
    zo::detail::require(
        steps.size() == coordinates.size() && differences.size() == coordinates.size(), who, ": ",
        coordinates.size(), " probes need as many steps and differences, got ", steps.size(),
        " and ", differences.size());
    const int threads = std::min(zo::detail::threads_of(on), most_probes_);
    while (makers_.size() < std::min(coordinates.size(), static_cast<std::size_t>(threads))) {
      makers_.push_back(std::make_unique<difference_pass<T>>(*pass_));
    }
    auto one = [&](index_t k, int worker) {
      const auto at = static_cast<std::size_t>(k);
      difference_pass<T>& maker = *makers_[static_cast<std::size_t>(worker)];
      if constexpr (is_paired) {
        differences[at] = maker.paired(coordinates[at], steps[at]);
      } else {
        differences[at] =
            batch_->loss.template difference<T>(maker(coordinates[at], steps[at]).data());
      }
    };
    zo::detail::run_loop(threads, static_cast<index_t>(coordinates.size()),
                         zo::detail::loop_body(one));
  }

  /// Of a probe, in multiplications of a sample: probe_costs, by which early layers cost more than
  /// late ones, and an exponential for each output, which is nearly all that a probe of the last
  /// layer takes. It is counted as a thousand multiplications, rather too many than too few, so
  /// that no process is given all of those.
  double cost(index_t coordinate) const {
    constexpr double of_output = 1e3;
    const network& net = pass_->net();
    if (costs_.empty()) costs_ = probe_costs(net);
    return of_output * static_cast<double>(net.output().size()) +
           costs_[static_cast<std::size_t>(net.parameter_of(coordinate).node)];
  }

  /// A whole evaluation, without differences: what RGE asks. May be called by several threads at
  /// once, each of which makes its whole pass; they wait for each other where their passes would
  /// not fit into max_bytes. Passes are kept for the next question.
  double operator()(std::span<const T> parameters, sample_id sample) const {
    minibatch<T, Loss> batch = next_batch(sample);
    borrowed_pass pass(*whole_, pass_->net(), batch.count, options_.max_bytes);
    pass->run(seq, parameters, statistics_, batch.inputs, batch.count, options_.mode);
    return batch.loss.template prepare<T>(pass->outputs());
  }

  /// The pass of the last prepare, for accuracies and running statistics.
  const forward_pass<T>& pass() const { return *pass_; }

  /// Multiplications of the probes since the last prepare, to be compared with those of a whole
  /// pass: network::multiplications() times the samples of the batch.
  index_t multiplications() const {
    index_t sum = 0;
    for (const auto& maker : makers_) sum += maker->multiplications();
    return sum;
  }

 private:
  static constexpr const char* who = "zo::nn::objective";
  static constexpr bool is_paired = std::is_same_v<Loss, paired_outputs<T>>;

  // Passes of whole points, each lent to one thread at a time.
  struct whole_passes {
    std::mutex of_batches, of_passes;
    std::condition_variable returned;
    std::vector<std::unique_ptr<forward_pass<T>>> idle;
    index_t lent = 0, count = 0, bytes = 0;  // bytes of a pass of `count` samples
  };

  class borrowed_pass {
   public:
    borrowed_pass(whole_passes& from, const network& net, index_t count, index_t max_bytes)
        : from_(from) {
      std::unique_lock lock(from.of_passes);
      if (from.count != count) {
        from.bytes = pass_bytes<T>(net, count);
        from.count = count;
      }
      zo::detail::require(from.bytes <= max_bytes, who, ": ", count, " samples need ", from.bytes,
                          " bytes for a pass, more than max_bytes = ", max_bytes,
                          "; use smaller batches or allow more");
      const index_t most = max_bytes / from.bytes;
      from.returned.wait(lock, [&] { return from.lent < most; });
      if (from.idle.empty()) {
        from.idle.reserve(static_cast<std::size_t>(from.lent) + 1);  // for all to come back
        from.idle.push_back(std::make_unique<forward_pass<T>>(net));
      }
      pass_ = std::move(from.idle.back());
      from.idle.pop_back();
      ++from.lent;
    }
    borrowed_pass(const borrowed_pass&) = delete;
    borrowed_pass& operator=(const borrowed_pass&) = delete;
    ~borrowed_pass() {
      const std::lock_guard lock(from_.of_passes);
      from_.idle.push_back(std::move(pass_));
      --from_.lent;
      from_.returned.notify_one();
    }
    forward_pass<T>* operator->() const { return pass_.get(); }

   private:
    whole_passes& from_;
    std::unique_ptr<forward_pass<T>> pass_;
  };

  minibatch<T, Loss> next_batch(sample_id sample) const {
    const std::lock_guard lock(whole_->of_batches);
    minibatch<T, Loss> batch = batch_of_(sample);
    detail::check_batch(who, pass_->net(), batch.count, options_.mode);
    if constexpr (requires { batch.loss.samples(); }) {
      zo::detail::require(batch.loss.samples() == batch.count, who, ": the batch has ", batch.count,
                          " samples, and its loss ", batch.loss.samples());
    }
    return batch;
  }

  int probes_that_fit(index_t count) const {
    const index_t pass = pass_bytes<T>(pass_->net(), count, options_.products);
    const index_t probe = difference_bytes<T>(pass_->net(), count);
    const index_t fit = pass < options_.max_bytes ? (options_.max_bytes - pass) / probe : 0;
    zo::detail::require(fit >= 1, who, ": ", count, " samples need ", pass,
                        " bytes for a pass and ", probe,
                        " for a probe, more than max_bytes = ", options_.max_bytes,
                        "; use smaller batches or allow more");
    return static_cast<int>(std::min<index_t>(zo::detail::most_threads, fit));
  }

  std::function<minibatch<T, Loss>(sample_id)> batch_of_;
  std::span<const T> statistics_;
  objective_options options_;
  mutable std::vector<double> costs_;      // by node; where somebody asks
  std::unique_ptr<forward_pass<T>> pass_;  // the makers keep its address
  std::unique_ptr<whole_passes> whole_;
  std::optional<minibatch<T, Loss>> batch_;  // of the last prepare
  bool prepared_ = false;
  int most_probes_ = 0;        // at a time
  index_t probes_are_of_ = 0;  // samples
  std::vector<std::unique_ptr<difference_pass<T>>> makers_;
};

}  // namespace zo::nn
