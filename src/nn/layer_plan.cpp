// Costs, pilots and choices.
#include "zo/nn/layer_plan.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "zo/coordinate.hpp"
#include "zo/finite.hpp"

namespace zo::nn {

using zo::detail::require;

namespace {

// Steps of float weights and activations; differences have no cancellation to fear.
constexpr double step_size = 1e-5;

// Of the gradient of a batch norm: what is off there goes into every layer before it.
constexpr double norm_cosine = 0.9;

const node& at(const network& net, index_t id) { return net.nodes()[static_cast<std::size_t>(id)]; }

// All parameters of a node, as coordinates of the flat vector: one after another.
std::vector<index_t> coordinates_of(const network& net, index_t id) {
  std::vector<index_t> all;
  for (const index_t number : {at(net, id).weight, at(net, id).bias}) {
    if (number < 0) continue;
    const view& v = net.parameters()[static_cast<std::size_t>(number)];
    for (index_t i = 0; i < v.size; ++i) all.push_back(v.offset + i);
  }
  return all;
}

// What is known of a layer before it is chosen how to ask.
struct prospect {
  index_t node = -1;
  index_t weights = 0;
  double per_probe = 0, per_direction = 0;  // in passes of the batch
  double active = 0;                        // a sample, on average
  index_t most_active = 1;
  double signal = 0, spread = 0;  // S and K

  // A choice and the noise it leaves.
  struct offer {
    layer_choice choice;
    double noise;
  };

  // The best number of questions at a price of noise; a price of 0 buys everything.
  offer of_weights(double price) const {
    const auto all = static_cast<double>(weights);
    const double best = price > 0 ? std::sqrt(signal * all / (price * per_probe)) : all;
    const double some = std::clamp(std::ceil(best), 1.0, all);
    return finished(question::weights, static_cast<index_t>(some), some * per_probe,
                    signal * (all / some - 1));
  }
  offer of_activations(double price) const {
    const double best = price > 0 ? std::sqrt(spread / (price * per_direction)) : active;
    const double some = std::max(1.0, std::ceil(best));
    if (some >= active) {
      return finished(question::activations, most_active, active * per_direction, 0);
    }
    return finished(question::activations, static_cast<index_t>(some), some * per_direction,
                    spread * (1 / some - 1 / active));
  }
  offer finished(question about, index_t questions, double passes, double noise) const {
    const double cosine = signal > 0 ? std::sqrt(signal / (signal + noise)) : 0;
    return {{node, about, questions, passes, noise > 0 ? cosine : 1, {}}, noise};
  }
  offer best(double price) const {
    offer w = of_weights(price), a = of_activations(price);
    const double of_w = w.noise + price * w.choice.passes;
    const double of_a = a.noise + price * a.choice.passes;
    const bool second = of_a < of_w || (of_a == of_w && a.choice.passes < w.choice.passes);
    offer& chosen = second ? a : w;
    const offer& other = second ? w : a;
    const auto price_of = [this](const offer& o) {
      return std::to_string(o.choice.questions) + " " + name(o) + " for " +
             zo::detail::number_text(o.choice.passes, 3);
    };
    chosen.choice.why = price_of(chosen) + " passes leave a cosine of " +
                        zo::detail::fixed_text(chosen.choice.cosine, 2) + "; " + price_of(other) +
                        " would leave " + zo::detail::fixed_text(other.choice.cosine, 2);
    return chosen;
  }
  // All weights, or as many directions as give this cosine: whichever is cheaper.
  layer_choice nearly_exact(double cosine) const {
    const double noise = signal * (1 / (cosine * cosine) - 1);
    const double wanted = spread > 0 ? 1 / (noise / spread + 1 / active) : 1;
    const double some = std::max(1.0, std::ceil(wanted));
    const bool all = some >= active;
    layer_choice a =
        finished(question::activations, all ? most_active : static_cast<index_t>(some),
                 std::min(some, active) * per_direction, all ? 0 : spread * (1 / some - 1 / active))
            .choice;
    layer_choice w = of_weights(0).choice;
    layer_choice& chosen = a.passes < w.passes ? a : w;
    chosen.why = "a batch norm, which earlier layers need nearly exactly";
    return chosen;
  }
  const char* name(const offer& o) const {
    if (o.choice.about == question::activations) return "directions a sample";
    return o.choice.questions == weights ? "weights (all)" : "weights";
  }
};

// Differences of single parameters on one pass in the problem's own mode.
template <class T, class Loss>
class by_coordinates {
 public:
  explicit by_coordinates(const layered_problem<T, Loss>& p)
      : objective_(p.net, [&batch = p.batch](sample_id) { return batch; }, p.statistics,
                   {.mode = p.mode, .threads = p.threads}) {
    value_ = objective_.prepare(p.parameters, 0);
  }
  double value() const { return value_; }

  void operator()(const std::vector<index_t>& coordinates, double scale, std::span<T> gradient) {
    const std::vector<T> steps(coordinates.size(), static_cast<T>(step_size));
    std::vector<double> differences(coordinates.size());
    objective_.probe(coordinates, steps, differences);
    for (std::size_t k = 0; k < coordinates.size(); ++k) {
      gradient[static_cast<std::size_t>(coordinates[k])] =
          static_cast<T>(scale * differences[k] / static_cast<double>(steps[k]));
    }
  }

 private:
  objective<T, Loss> objective_;
  double value_ = 0;
};

template <class T>
double dot(const std::vector<index_t>& where, const std::vector<T>& a, const std::vector<T>& b) {
  double sum = 0;
  for (const index_t i : where) {
    const auto k = static_cast<std::size_t>(i);
    sum += static_cast<double>(a[k]) * static_cast<double>(b[k]);
  }
  return sum;
}

// A stream of the pilot: steps of estimates stay below 2^50.
stream pilot_stream(stream from, std::uint64_t which) {
  require(from.step < (std::uint64_t{1} << 50),
          "zo::nn::plan_layers: step must be below 2^50, got ", from.step);
  from.step += which << 50;
  return from;
}

}  // namespace

template <class T, class Loss>
layer_plan plan_layers(const layered_problem<T, Loss>& p, const plan_options& options,
                       const stream& from) {
  constexpr const char* who = "zo::nn::plan_layers";
  require(options.cosine > 0 && options.cosine <= 1, who,
          ": cosine must be above 0 and at most 1, got ", options.cosine);
  require(!options.passes || *options.passes > 0, who, ": passes must be above 0, got ",
          options.passes.value_or(0));
  require(options.pilot >= 1, who, ": pilot must be at least 1, got ", options.pilot);
  const double pass = cost_from(p.net, 0, false);
  const auto count = static_cast<double>(p.batch.count);
  layer_plan plan;
  plan.pilot_passes = 3;  // without a difference
  std::vector<prospect> prospects;
  double of_norms = 0;
  by_coordinates<T, Loss> coordinates(p);
  require(std::isfinite(coordinates.value()), who, ": the loss of the batch is ",
          coordinates.value(), "; there is nothing to plan for");
  const activation_estimator<T, Loss> estimator(p.net, p.batch, p.parameters, p.statistics, p.mode,
                                                p.threads);
  std::vector<T> a(static_cast<std::size_t>(p.net.parameter_count())), b = a;
  for (index_t id = static_cast<index_t>(p.net.nodes().size()) - 1; id > 0; --id) {
    if (at(p.net, id).weight < 0) continue;
    const activation_options how{.directions = options.pilot, .smoothing = step_size};
    const auto did = estimator.estimate(id, how, pilot_stream(from, 1), a);
    estimator.estimate(id, how, pilot_stream(from, 2), b);
    const std::vector<index_t> own = coordinates_of(p.net, id);
    prospect layer{id, static_cast<index_t>(own.size())};
    layer.per_probe = cost_from(p.net, id, true) / pass;
    layer.per_direction = cost_from(p.net, did.point, false) / pass;
    layer.active = std::max(1.0, static_cast<double>(did.active) / count);
    layer.most_active = std::max<index_t>(1, did.most_active);
    const double q = static_cast<double>(did.questions) / count;
    const double together = dot(own, a, b);
    const double apart = (dot(own, a, a) + dot(own, b, b)) / 2 - together;
    require(zo::detail::is_finite(apart), who, ": the pilot's slopes of ", at(p.net, id).name,
            " are no finite numbers; plan where they are");
    const double noise = std::max(0.0, apart);
    layer.signal = std::max(together, noise / std::sqrt(static_cast<double>(own.size())));
    // A pilot that asked every number has no noise to tell of; then all are asked again.
    layer.spread = q < layer.active ? noise / (1 / q - 1 / layer.active)
                                    : std::numeric_limits<double>::infinity();
    plan.pilot_passes += 2 * q * layer.per_direction;
    if (at(p.net, id).what != operation::batch_norm) {
      prospects.push_back(layer);
      continue;
    }
    // Earlier layers need it: asked here as it will be.
    layer_choice c = layer.nearly_exact(std::max(norm_cosine, options.passes ? 0 : options.cosine));
    if (c.about == question::weights) {
      coordinates(own, 1.0, a);
    } else {
      estimator.estimate(id, {.directions = c.questions, .smoothing = step_size},
                         pilot_stream(from, 3), a);
    }
    for (const index_t i : own) b[static_cast<std::size_t>(i)] = a[static_cast<std::size_t>(i)];
    of_norms += c.passes;
    plan.pilot_passes += c.passes;
    plan.layers.push_back(std::move(c));
  }
  require(!options.passes || *options.passes > of_norms, who, ": a budget of ",
          options.passes.value_or(0), " passes does not pay for the batch norms, which need ",
          of_norms);
  double signal = 0;
  for (const prospect& layer : prospects) signal += layer.signal;
  // What all layers cost at a price, and whether that is what was asked for.
  const auto suits = [&](double price) {
    double passes = of_norms, noise = 0;
    for (const prospect& layer : prospects) {
      const auto offer = layer.best(price);
      passes += offer.choice.passes;
      noise += offer.noise;
    }
    if (options.passes) return passes <= *options.passes;
    return noise <= signal * (1 / (options.cosine * options.cosine) - 1);
  };
  // A budget is met by all prices above some, a cosine by all below: halvings of the exponent.
  double price = 0;
  if (options.passes ? !suits(0) : options.cosine < 1) {
    double low = -200, high = 200;
    for (int halving = 0; halving < 60; ++halving) {
      const double middle = (low + high) / 2;
      const bool lower = suits(std::exp2(middle)) == options.passes.has_value();
      (lower ? high : low) = middle;
    }
    price = std::exp2(options.passes ? high : low);
  }
  for (const prospect& layer : prospects) plan.layers.push_back(layer.best(price).choice);
  // From the last value to the first, as they are asked.
  std::ranges::sort(plan.layers, std::greater{}, &layer_choice::node);
  return plan;
}

template <class T, class Loss>
double estimate_layers(const layered_problem<T, Loss>& p, const layer_plan& plan,
                       const stream& from, std::span<T> gradient) {
  require(static_cast<index_t>(gradient.size()) == p.net.parameter_count(),
          "zo::nn::estimate_layers: the network has ", p.net.parameter_count(),
          " parameters, and gradient ", gradient.size());
  by_coordinates<T, Loss> coordinates(p);
  const activation_estimator<T, Loss> estimator(p.net, p.batch, p.parameters, p.statistics, p.mode,
                                                p.threads);
  for (const layer_choice& c : plan.layers) {
    require(c.node >= 0 && c.node < static_cast<index_t>(p.net.nodes().size()),
            "zo::nn::estimate_layers: the plan asks value ", c.node, ", which is not in 0 … ",
            p.net.nodes().size() - 1);
    std::vector<index_t> own = coordinates_of(p.net, c.node);
    const auto all = static_cast<index_t>(own.size());
    require(c.questions >= 1 && (c.about == question::activations || c.questions <= all),
            "zo::nn::estimate_layers: the plan asks ", c.questions, " of ", all, " parameters of ",
            at(p.net, c.node).name);
    if (c.about == question::activations) {
      estimator.estimate(c.node, {.directions = c.questions, .smoothing = step_size}, from,
                         gradient);
      continue;
    }
    for (const index_t i : own) gradient[static_cast<std::size_t>(i)] = T(0);
    if (c.questions < all) {
      std::vector<index_t> some;
      const stream choice{from.seed, from.step, static_cast<std::uint32_t>(c.node),
                          purpose::coordinates};
      for (const index_t k : zo::random_subset(all, c.questions, choice)) {
        some.push_back(own[static_cast<std::size_t>(k)]);
      }
      own = std::move(some);
    }
    coordinates(own, static_cast<double>(all) / static_cast<double>(c.questions), gradient);
  }
  return coordinates.value();
}

template layer_plan plan_layers(const layered_problem<float, cross_entropy>&, const plan_options&,
                                const stream&);
template layer_plan plan_layers(const layered_problem<double, cross_entropy>&, const plan_options&,
                                const stream&);
template layer_plan plan_layers(const layered_problem<float, squared_error>&, const plan_options&,
                                const stream&);
template layer_plan plan_layers(const layered_problem<double, squared_error>&, const plan_options&,
                                const stream&);
template double estimate_layers(const layered_problem<float, cross_entropy>&, const layer_plan&,
                                const stream&, std::span<float>);
template double estimate_layers(const layered_problem<double, cross_entropy>&, const layer_plan&,
                                const stream&, std::span<double>);
template double estimate_layers(const layered_problem<float, squared_error>&, const layer_plan&,
                                const stream&, std::span<float>);
template double estimate_layers(const layered_problem<double, squared_error>&, const layer_plan&,
                                const stream&, std::span<double>);

}  // namespace zo::nn
