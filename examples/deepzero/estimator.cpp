#include "estimator.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <zo/any_estimator.hpp>
#include <zo/estimate.hpp>
#include <zo/nn/forward.hpp>
#include <zo/nn/objective.hpp>

#include "activation/activation.hpp"
#include "by_block/by_block.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "device.hpp"
#include "first_order.hpp"
#include "sparsity.hpp"

namespace deepzero {

namespace {

using zo::nn::network;

class coordinate_estimator : public estimator {
 public:
  coordinate_estimator(const network& net, coordinate_sets sets, const settings& s,
                       const app::processes& all)
      : net_(net), sets_(std::move(sets)), s_(s), all_(all) {}

  answer operator()(const question& asked, std::span<float> gradient) override {
    batch_ = &asked.batch;
    statistics_.assign(asked.statistics.begin(), asked.statistics.end());
    if (objective_ == nullptr) {
      objective_ = std::make_unique<zo::nn::objective<float>>(
          net_, [this](zo::sample_id) { return *batch_; }, std::span<const float>(statistics_),
          zo::nn::objective_options{.products = products_of(s_)});
    }
    const auto found = all_.estimate(zo::par.with_threads(s_.threads), [&](const auto& policy) {
      return zo::estimate(policy, *objective_, asked.parameters, gradient, sets_.at(asked.step),
                          place_of(asked, s_));
    });
    if (!found.ok) refuse_estimate(asked.step, found.value, s_);
    const double whole =
        static_cast<double>(net_.multiplications()) * static_cast<double>(asked.batch.count);
    return {found.value, found.queries,
            1 + all_.sum(static_cast<double>(objective_->multiplications())) / whole};
  }

  void update_statistics(std::span<float> statistics) override {
    objective_->pass().update_statistics(statistics);
  }

 private:
  const network& net_;
  coordinate_sets sets_;
  const settings& s_;
  const app::processes& all_;
  const minibatch* batch_ = nullptr;  // of the question at hand
  std::vector<float> statistics_;
  std::unique_ptr<zo::nn::objective<float>> objective_;  // keeps its buffers from step to step
};

// Whole evaluations of perturbed points: RGE, and CGE as if the network were a black box.
class point_estimator : public estimator {
 public:
  point_estimator(const network& net, zo::any_estimator<float> how, const settings& s,
                  const app::processes& all)
      : net_(net), how_(std::move(how)), s_(s), all_(all), pass_(net) {}

  answer operator()(const question& asked, std::span<float> gradient) override {
    zo::nn::objective<float> loss(
        net_, [&batch = asked.batch](zo::sample_id) { return batch; }, asked.statistics);
    const auto whole = [&](std::span<const float> x) { return loss(x, 0); };
    const auto found = all_.estimate(zo::par.with_threads(s_.threads), [&](const auto& policy) {
      return zo::estimate(policy, whole, asked.parameters, gradient, how_, place_of(asked, s_));
    });
    if (!found.ok) refuse_estimate(asked.step, found.value, s_);
    pass_.run(zo::par.with_threads(s_.threads), asked.parameters, asked.statistics,
              asked.batch.inputs, asked.batch.count, zo::nn::norm_mode::train);
    const std::int64_t queries = found.queries + 1;
    return {found.value, queries, static_cast<double>(queries)};
  }

  void update_statistics(std::span<float> statistics) override {
    pass_.update_statistics(statistics);
  }

 private:
  const network& net_;
  zo::any_estimator<float> how_;
  const settings& s_;
  const app::processes& all_;
  zo::nn::forward_pass<float> pass_;
};

// Questions about the activations of one layer after the other, the last first, because earlier
// ones need the gradients of later batch norms.
class activations_estimator : public estimator {
 public:
  activations_estimator(const network& net, const settings& s, const app::processes& all)
      : net_(net), s_(s), all_(all), pass_(net) {}

  answer operator()(const question& asked, std::span<float> gradient) override {
    const activation_estimator<float> ask(zo::par.with_threads(s_.threads), net_, asked.batch,
                                          asked.parameters, asked.statistics,
                                          zo::nn::norm_mode::train);
    if (!std::isfinite(ask.value())) refuse_estimate(asked.step, ask.value(), s_);
    const zo::stream from{app::seed_for(s_.seed, "activations"),
                          static_cast<std::uint64_t>(asked.step)};
    const sharing shared = [this](std::span<double> answers, zo::index_t piece, const auto& some) {
      all_.share(answers, piece, some);
    };
    zo::index_t questions = 0, multiplications = 0;
    for (auto layer = static_cast<zo::index_t>(net_.nodes().size()) - 1; layer > 0; --layer) {
      if (net_.nodes()[static_cast<std::size_t>(layer)].weight < 0) continue;
      const auto did =
          ask.estimate(layer, {.directions = directions_of(net_, s_), .smoothing = s_.smoothing},
                       from, gradient, shared);
      questions += did.questions;
      multiplications += did.multiplications;
    }
    pass_.run(zo::par.with_threads(s_.threads), asked.parameters, asked.statistics,
              asked.batch.inputs, asked.batch.count, zo::nn::norm_mode::train);
    const zo::index_t passes = 3;  // of the estimator two, and this one
    const double whole =
        static_cast<double>(net_.multiplications()) * static_cast<double>(asked.batch.count);
    return {ask.value(), passes + (questions + asked.batch.count - 1) / asked.batch.count,
            static_cast<double>(passes) + all_.sum(static_cast<double>(multiplications)) / whole};
  }

  void update_statistics(std::span<float> statistics) override {
    pass_.update_statistics(statistics);
  }

 private:
  const network& net_;
  const settings& s_;
  const app::processes& all_;
  zo::nn::forward_pass<float> pass_;
};

// Weights and middle values, block by block.
class by_block_estimator : public estimator {
 public:
  by_block_estimator(const network& net, const settings& s, const app::processes& all)
      : net_(net), s_(s), all_(all), blocks_(net) {}

  answer operator()(const question& asked, std::span<float> gradient) override {
    const zo::cge how({.smoothing = s_.smoothing});
    const auto inner = zo::par.with_threads(s_.threads);
    const by_block_calls<float> calls{
        .weights =
            [&](auto& f, std::span<const float> x, std::span<float> slopes) {
              return all_.estimate(inner, [&](const auto& policy) {
                return zo::estimate(policy, f, x, slopes, how, place_of(asked, s_));
              });
            },
        .shared = [this](std::span<double> answers, zo::index_t piece,
                         const auto& some) { all_.share(answers, piece, some); }};
    const by_block_result found =
        blocks_(inner, asked.batch, asked.parameters, asked.statistics, {}, gradient, calls);
    if (!found.ok) refuse_estimate(asked.step, found.value, s_);
    const double whole =
        static_cast<double>(net_.multiplications()) * static_cast<double>(asked.batch.count);
    return {found.value, found.queries,
            found.passes + all_.sum(static_cast<double>(found.multiplications)) / whole};
  }

  void update_statistics(std::span<float> statistics) override {
    blocks_.pass().update_statistics(statistics);
  }

 private:
  const network& net_;
  const settings& s_;
  const app::processes& all_;
  block_estimator<float> blocks_;
};

}  // namespace

coordinate_sets::coordinate_sets(const network& net, std::span<const zo::index_t> counts,
                                 std::int64_t steps_per_set, const settings& s)
    : net_(net),
      counts_(counts.begin(), counts.end()),
      steps_per_set_(std::max<std::int64_t>(1, steps_per_set)),
      s_(s) {}

const zo::cge<>& coordinate_sets::at(std::int64_t step) {
  const std::int64_t set = step / steps_per_set_;
  if (set == set_) return how_;
  set_ = set;
  zo::cge_options options{.smoothing = s_.smoothing};
  if (!counts_.empty()) {
    options.coordinates = zo::coordinate_list{coordinate_set(
        net_, counts_, app::seed_for(s_.seed, "coordinate sets"), static_cast<std::uint64_t>(set))};
  }
  how_ = zo::cge(options);
  return how_;
}

std::unique_ptr<estimator> make_estimator(const std::string& name, const network& net,
                                          std::span<const zo::index_t> counts,
                                          std::int64_t per_epoch, const settings& s,
                                          const app::processes& all) {
  if (name == "first-order") return make_first_order(net, s);
  if (name == "cge" || name == "sparse-cge") {
    coordinate_sets sets(net, name == "cge" ? std::span<const zo::index_t>() : counts,
                         std::llround(s.interval * static_cast<double>(per_epoch)), s);
    if (s.device == "cuda") return make_device_estimator(net, std::move(sets), s, all);
    return std::make_unique<coordinate_estimator>(net, std::move(sets), s, all);
  }
  if (name == "cge-by-block") return std::make_unique<by_block_estimator>(net, s, all);
  if (name == "activations") return std::make_unique<activations_estimator>(net, s, all);
  return std::make_unique<point_estimator>(
      net,
      zo::estimator_options{.estimator = name == "cge-whole" ? "cge" : "rge",
                            .directions = directions_of(net, s),
                            .smoothing = s.smoothing},
      s, all);
}

std::int64_t directions_of(const network& net, const settings& s) {
  return s.directions.value_or(net.parameter_count());
}

zo::nn::products products_of(const settings& s) {
  return s.products == "bfloat16" ? zo::nn::products::bfloat16 : zo::nn::products::exact;
}

zo::estimate_options place_of(const question& asked, const settings& s) {
  return {.seed = app::seed_for(s.seed, "directions"),
          .step = static_cast<std::uint64_t>(asked.step)};
}

void refuse_estimate(std::int64_t step, double loss, const settings& s) {
  if (!std::isfinite(loss)) {
    throw std::runtime_error("the loss of step " + std::to_string(step) +
                             " is not a number; give a lower --rate or --weight-decay");
  }
  throw std::runtime_error("the loss of step " + std::to_string(step) + " is " +
                           app::shortest(loss) + ", and answers around it, at --mu " +
                           app::shortest(s.smoothing) + ", are of no use; give a --mu nearer to " +
                           app::shortest(settings{}.smoothing));
}

}  // namespace deepzero
