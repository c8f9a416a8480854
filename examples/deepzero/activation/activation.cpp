#include "activation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <zo/direction.hpp>
#include <zo/execution.hpp>

namespace deepzero {

using zo::index_t;
using zo::stream;
using zo::detail::require;
using zo::nn::coupling;
using zo::nn::difference_pass;
using zo::nn::forward_pass;
using zo::nn::mixes;
using zo::nn::network;
using zo::nn::node;
using zo::nn::norm_mode;
using zo::nn::norm_sums;
using zo::nn::operation;
using zo::nn::view;

namespace {

template <class Body>
void each(int threads, index_t items, Body&& body) {
  zo::detail::run_loop(threads, items, zo::detail::loop_body(body));
}

const node& at(const network& net, index_t id) { return net.nodes()[static_cast<std::size_t>(id)]; }

// Whether numbers of a value are followed through this operation.
bool passes_on(operation what) {
  switch (what) {
    case operation::batch_norm:
    case operation::relu:
    case operation::max_pool:
    case operation::average_pool:
    case operation::global_average_pool:
    case operation::add:
    case operation::subsample:
      return true;
    case operation::input:
    case operation::convolution:
    case operation::linear:
    case operation::embedding:
    case operation::positions:
    case operation::layer_norm:
    case operation::gelu:
    case operation::attention:
      return false;
  }
  return false;
}

// Calls pair(in, out, weight) for each number `in` of the operation's input that the output number
// `out` follows, to first order. Not for batch norms, of which all of a channel matters.
template <class T, class Pair>
void each_pair(const node& n, const T* in, const T* out, Pair&& pair) {
  switch (n.what) {
    case operation::relu:
      for (index_t i = 0; i < n.out.size(); ++i) {
        if (out[i] > T(0)) pair(i, i, T(1));
      }
      return;
    case operation::subsample: {
      const index_t before = (n.out.channels - n.in.channels) / 2;
      for (index_t c = 0; c < n.in.channels; ++c) {
        for (index_t p = 0; p < n.out.area(); ++p) {
          const index_t y = p / n.out.width * n.stride, x = p % n.out.width * n.stride;
          pair(c * n.in.area() + y * n.in.width + x, (before + c) * n.out.area() + p, T(1));
        }
      }
      return;
    }
    case operation::global_average_pool:
      for (index_t i = 0; i < n.in.size(); ++i) {
        pair(i, i / n.in.area(), T(1) / static_cast<T>(n.in.area()));
      }
      return;
    case operation::max_pool:
    case operation::average_pool:
      for (index_t o = 0; o < n.out.size(); ++o) {
        const index_t c = o / n.out.area(), p = o % n.out.area();
        const index_t corner =
            c * n.in.area() + p / n.out.width * n.stride * n.in.width + p % n.out.width * n.stride;
        index_t largest = corner;
        for (index_t k = 0; k < n.kernel * n.kernel; ++k) {
          const index_t i = corner + k / n.kernel * n.in.width + k % n.kernel;
          if (n.what == operation::average_pool) {
            pair(i, o, T(1) / static_cast<T>(n.kernel * n.kernel));
          } else if (in[i] > in[largest]) {
            largest = i;
          }
        }
        if (n.what == operation::max_pool) pair(largest, o, T(1));
      }
      return;
    case operation::batch_norm:  // moves all numbers
    case operation::add:         // passes them on
      for (index_t i = 0; i < n.out.size(); ++i) pair(i, i, T(1));
      return;
    case operation::input:
    case operation::convolution:
    case operation::linear:
    case operation::embedding:
    case operation::positions:
    case operation::layer_norm:
    case operation::gelu:
    case operation::attention:
      return;  // end a chain
  }
}

// The derivative of one batch norm in train mode, with sums over the batch:
//   g_in = gamma / root (g - mean(g) - c / root^2 mean(g c)).
template <class T>
void through_norm(const node& n, const forward_pass<T>& pass, index_t id, norm_mode mode,
                  std::span<const T> gamma, const std::vector<T>& input, index_t channel,
                  std::vector<T>& g) {
  const auto k = static_cast<std::size_t>(channel);
  const double mean = pass.means(id)[k], root = pass.roots(id)[k];
  const index_t area = n.in.area(), count = pass.count();
  double sum = 0, with_input = 0;
  const auto all = [&](const auto& body) {
    for (index_t b = 0; b < count; ++b) {
      const index_t first = b * n.in.size() + channel * area;
      for (index_t i = first; i < first + area; ++i) body(static_cast<std::size_t>(i));
    }
  };
  all([&](std::size_t i) {
    const auto v = static_cast<double>(g[i]);
    sum += v;
    with_input += v * (static_cast<double>(input[i]) - mean);
  });
  const double scale = static_cast<double>(gamma[k]) / root;
  const double numbers = static_cast<double>(count * area);
  const double shift = mode == norm_mode::train ? sum / numbers : 0;
  const double slope = mode == norm_mode::train ? with_input / (numbers * root * root) : 0;
  all([&](std::size_t i) {
    const double c = static_cast<double>(input[i]) - mean;
    g[i] = static_cast<T>(scale * (static_cast<double>(g[i]) - shift - slope * c));
  });
}

// A step through 0 … count - 1 that meets each once, and the next ones far away: near the golden
// section.
index_t spread_of(index_t count) {
  index_t step = std::max<index_t>(1, count * 5 / 8);
  while (std::gcd(step, count) != 1) ++step;
  return step;
}

// Correlation of the derivatives of a convolution's outputs with its inputs: for one input channel,
// kernel x kernel x outputs. Sums over a sample in T, over samples in double.
template <class T>
void correlate(const node& n, index_t count, index_t channel, const std::vector<T>& input,
               const std::vector<T>& turned, double* to) {
  const index_t taps = n.kernel * n.kernel, outputs = n.out.channels;
  std::vector<T> sums(static_cast<std::size_t>(taps * outputs));
  for (index_t b = 0; b < count; ++b) {
    std::ranges::fill(sums, T(0));
    const T* const image = input.data() + b * n.in.size() + channel * n.in.area();
    const T* const g = turned.data() + b * n.out.size();
    for (index_t tap = 0; tap < taps; ++tap) {
      T* const sum = sums.data() + tap * outputs;
      for (index_t p = 0; p < n.out.area(); ++p) {
        const index_t y = p / n.out.width * n.stride + tap / n.kernel - n.padding;
        const index_t x = p % n.out.width * n.stride + tap % n.kernel - n.padding;
        if (y < 0 || y >= n.in.height || x < 0 || x >= n.in.width) continue;
        const T v = image[y * n.in.width + x];
        if (v == T(0)) continue;
        for (index_t o = 0; o < outputs; ++o) sum[o] += v * g[p * outputs + o];
      }
    }
    for (index_t tap = 0; tap < taps; ++tap) {
      for (index_t o = 0; o < outputs; ++o) {
        to[o * n.in.channels * taps + channel * taps + tap] +=
            static_cast<double>(sums[static_cast<std::size_t>(tap * outputs + o)]);
      }
    }
  }
}

// The cross entropy of the classes that the network itself tells apart.
template <class T>
class class_losses : public sample_losses<T> {
 public:
  explicit class_losses(zo::nn::cross_entropy loss) : loss_(std::move(loss)) {}

  double prepare(std::span<const T> outputs) override { return loss_.prepare(outputs); }
  std::vector<double> sensitivities() const override { return loss_.sensitivities(); }
  void differences(std::span<const index_t> samples, std::span<const T> changes,
                   std::span<double> parts) const override {
    loss_.differences(samples, changes, parts);
  }

 private:
  zo::nn::cross_entropy loss_;
};

}  // namespace

activation_chain chain_of(const network& net, index_t layer) {
  require(layer >= 0 && layer < static_cast<index_t>(net.nodes().size()),
          "deepzero::chain_of: value ", layer, " is not in 0 … ", net.nodes().size() - 1);
  activation_chain chain{{layer}};
  for (;;) {
    index_t users = 0, user = -1;
    for (index_t id = 0; id < static_cast<index_t>(net.nodes().size()); ++id) {
      const node& n = at(net, id);
      if (n.first == chain.point() || n.second == chain.point()) {
        ++users;
        user = id;
      }
    }
    if (users != 1 || !passes_on(at(net, user).what)) return chain;
    if (at(net, user).first == at(net, user).second) return chain;
    chain.nodes.push_back(user);
  }
}

template <class T>
std::unique_ptr<sample_losses<T>> activation_estimator<T>::losses_of(
    const zo::nn::cross_entropy& loss) {
  return std::make_unique<class_losses<T>>(loss);
}

template <class T>
activation_estimator<T>::activation_estimator(int threads, const network& net,
                                              std::span<const T> inputs, index_t count,
                                              std::unique_ptr<sample_losses<T>> losses,
                                              std::span<const T> parameters,
                                              std::span<const T> statistics, norm_mode mode)
    : parameters_(parameters.begin(), parameters.end()),
      mode_(mode),
      threads_(threads),
      losses_(std::move(losses)),
      pass_(net) {
  // The number of a direction holds both.
  require(count < (index_t{1} << 20), "deepzero::activation_estimator: at most 2^20 samples, got ",
          count);
  require(net.nodes().size() <= 4096, "deepzero::activation_estimator: at most 4096 values, got ",
          net.nodes().size());
  for (const node& n : net.nodes()) {
    require(n.out.size() <= std::numeric_limits<std::int32_t>::max(),
            "deepzero::activation_estimator: ", zo::nn::text_of(n.out),
            " are more numbers of a sample than 31 bits count");
  }
  const auto on = zo::par.with_threads(threads);
  pass_.run(on, parameters, statistics, inputs, count, mode);
  value_ = losses_->prepare(pass_.outputs());
  std::vector<double> sensitivities = losses_->sensitivities();
  // Such a batch has no value, and any order will do.
  for (double& s : sensitivities) s = std::isfinite(s) ? s : 0;
  order_.resize(static_cast<std::size_t>(count));
  std::iota(order_.begin(), order_.end(), index_t{0});
  std::ranges::stable_sort(order_, [&](index_t a, index_t b) {
    return sensitivities[static_cast<std::size_t>(a)] > sensitivities[static_cast<std::size_t>(b)];
  });
  std::vector<T> frozen(statistics.begin(), statistics.end());
  for (index_t id = 0; id < static_cast<index_t>(net.nodes().size()); ++id) {
    const node& n = at(net, id);
    if (n.what != operation::batch_norm || mode == norm_mode::eval) continue;
    const auto of = [&](index_t number) {
      return frozen.begin() + net.statistics()[static_cast<std::size_t>(number)].offset;
    };
    for (index_t c = 0; c < n.in.channels; ++c) {
      of(n.running_mean)[c] = static_cast<T>(pass_.means(id)[static_cast<std::size_t>(c)]);
      of(n.running_var)[c] = static_cast<T>(pass_.variances(id)[static_cast<std::size_t>(c)]);
    }
  }
  std::vector<T> ordered;
  const index_t size = at(net, 0).out.size();
  for (const index_t b : order_) {
    sensitivities_.push_back(sensitivities[static_cast<std::size_t>(b)]);
    ordered.insert(ordered.end(), inputs.begin() + b * size, inputs.begin() + (b + 1) * size);
  }
  pass_.run(on, parameters, frozen, ordered, count, norm_mode::eval);
  pass_.prepare_differences();
}

// Directions of each sample: shares of directions x count, at least 1, at most what is active; and
// all of that where the average would do. Through batch norms insensitive samples matter more.
template <class T>
std::vector<index_t> activation_estimator<T>::shared_out(const activation_options& options,
                                                         const std::vector<index_t>& active,
                                                         bool coupled) const {
  const auto count = static_cast<double>(order_.size());
  const double mean = std::accumulate(sensitivities_.begin(), sensitivities_.end(), 0.0) / count;
  std::vector<index_t> shares;
  for (std::size_t b = 0; b < order_.size(); ++b) {
    const double floor = coupled ? 0.3 : 0.1;
    if (options.directions >= active[b]) {
      shares.push_back(active[b]);
      continue;
    }
    const bool even = options.shares == share::even || mean <= 0 || !std::isfinite(mean);
    const double part = even ? 1 : (sensitivities_[b] / mean + floor) / (1 + floor);
    const double wanted = std::round(part * static_cast<double>(options.directions));
    const bool all = wanted >= static_cast<double>(active[b]);
    shares.push_back(all ? active[b] : std::max<index_t>(1, static_cast<index_t>(wanted)));
  }
  return shares;
}

// What one unit of sums of differences does to the loss, through batch norms after `point`.
template <class T>
std::vector<typename activation_estimator<T>::effect> activation_estimator<T>::effects_after(
    index_t point, std::span<const T> gradient) const {
  std::vector<effect> effects(net().nodes().size());
  for (index_t id = point + 1; id < static_cast<index_t>(net().nodes().size()); ++id) {
    const node& n = at(net(), id);
    if (n.what != operation::batch_norm || mode_ == norm_mode::eval) continue;
    const index_t gamma = net().parameters()[static_cast<std::size_t>(n.weight)].offset;
    const index_t beta = net().parameters()[static_cast<std::size_t>(n.bias)].offset;
    effect& e = effects[static_cast<std::size_t>(id)];
    for (index_t c = 0; c < n.in.channels; ++c) {
      const double root = pass_.roots(id)[static_cast<std::size_t>(c)];
      const double scale = static_cast<double>(parameters_[static_cast<std::size_t>(gamma + c)]) /
                           root / static_cast<double>(pass_.count() * n.in.area());
      const auto of = [&](index_t i) {
        return static_cast<double>(gradient[static_cast<std::size_t>(i + c)]);
      };
      e.of_mean.push_back(-scale * of(beta));
      e.of_variance.push_back(-scale / (2 * root) * of(gamma));
    }
  }
  return effects;
}

// Which numbers each direction of each sample moves, and which way.
template <class T>
struct activation_estimator<T>::deal {
  const std::vector<std::vector<std::int32_t>>& active;  // of each sample
  std::vector<index_t> shares;                           // directions of each sample
  index_t units;
  std::vector<T> signs;  // samples x units

  index_t rounds() const { return *std::ranges::max_element(shares); }
  // Samples that have a direction left: they come first but for ties.
  index_t samples_in(index_t round) const {
    auto some = static_cast<index_t>(shares.size());
    while (shares[static_cast<std::size_t>(some - 1)] <= round) --some;
    return some;
  }
  // body(unit, place in signs) for each number that direction `round` of sample b moves.
  template <class Body>
  void each_moved(index_t b, index_t round, const Body& body) const {
    const auto& list = active[static_cast<std::size_t>(b)];
    const index_t among = shares[static_cast<std::size_t>(b)];
    if (round >= among) return;
    for (auto r = static_cast<std::size_t>(round); r < list.size();
         r += static_cast<std::size_t>(among)) {
      body(static_cast<index_t>(list[r]), static_cast<std::size_t>(b * units + list[r]));
    }
  }
};

// Slopes along `units` numbers of each sample, of which active[b] matter: samples x units. Moving
// one of them by h adds to the change of the point what move(b, unit, h, change) says.
template <class T>
template <class Move>
std::vector<T> activation_estimator<T>::ask(index_t layer, index_t units,
                                            const std::vector<std::vector<std::int32_t>>& active,
                                            const activation_options& options, const stream& from,
                                            std::span<const T> gradient, const sharing& shared,
                                            activation_result& result, const Move& move) const {
  const index_t count = pass_.count();
  std::vector<index_t> numbers;
  for (const auto& list : active) numbers.push_back(static_cast<index_t>(list.size()));
  const std::vector<effect> effects = effects_after(result.point, gradient);
  const bool coupled =
      std::ranges::any_of(effects, [](const effect& e) { return !e.of_mean.empty(); });
  deal dealt{active, shared_out(options, numbers, coupled), units,
             std::vector<T>(static_cast<std::size_t>(count * units))};
  result.active = std::accumulate(numbers.begin(), numbers.end(), index_t{0});
  result.questions = std::accumulate(dealt.shares.begin(), dealt.shares.end(), index_t{0});
  each(threads_, count, [&](index_t b, int) {
    stream own = from;
    own.number = static_cast<std::uint32_t>((layer << 20) + order_[static_cast<std::size_t>(b)]);
    zo::fill_direction(
        zo::rademacher{}, own,
        std::span<T>(dealt.signs)
            .subspan(static_cast<std::size_t>(b * units), static_cast<std::size_t>(units)));
  });

  const index_t rounds = dealt.rounds(), stride = spread_of(rounds);
  const T step = static_cast<T>(options.smoothing);
  std::vector<std::unique_ptr<difference_pass<T>>> makers;
  for (index_t k = 0; k < std::min<index_t>(threads_, rounds); ++k) {
    makers.push_back(std::make_unique<difference_pass<T>>(pass_));
  }
  // Neighbours among the answers are far apart among the rounds, of which the later ones have
  // fewer samples: so parts of the answers cost alike.
  std::vector<double> answers(static_cast<std::size_t>(rounds * count));
  const auto some_answers = [&](index_t first, std::span<double> mine) {
    each(threads_, static_cast<index_t>(mine.size()) / count, [&](index_t k, int worker) {
      const index_t round = (first / count + k) * stride % rounds;
      answer_round(dealt, round, step, effects, *makers[static_cast<std::size_t>(worker)],
                   result.point, move, mine.subspan(static_cast<std::size_t>(k * count)));
    });
  };
  shared ? shared(answers, count, some_answers) : some_answers(0, answers);
  for (const auto& maker : makers) result.multiplications += maker->multiplications();

  std::vector<T> slopes(dealt.signs.size(), T(0));
  each(threads_, count, [&](index_t b, int) {
    for (index_t k = 0; k < rounds; ++k) {
      const T slope = static_cast<T>(answers[static_cast<std::size_t>(k * count + b)] /
                                     static_cast<double>(step));
      dealt.each_moved(b, k * stride % rounds,
                       [&](index_t, std::size_t i) { slopes[i] = slope * dealt.signs[i]; });
    }
  });
  return slopes;
}

// What the loss of each sample changes by along one direction of each.
template <class T>
template <class Move>
void activation_estimator<T>::answer_round(const deal& dealt, index_t round, T step,
                                           const std::vector<effect>& effects,
                                           difference_pass<T>& maker, index_t point,
                                           const Move& move, std::span<double> answers) const {
  const index_t size = at(net(), point).out.size(), some = dealt.samples_in(round);
  std::vector<T> change(static_cast<std::size_t>(some * size), T(0));
  for (index_t b = 0; b < some; ++b) {
    dealt.each_moved(b, round, [&](index_t unit, std::size_t i) {
      move(b, unit, step * dealt.signs[i], change.data() + b * size);
    });
  }
  const std::span<const T> outputs = maker.from(point, change, coupling::frozen);
  const std::span<double> parts = answers.first(static_cast<std::size_t>(some));
  losses_->differences(std::span(order_).first(parts.size()), outputs, parts);
  for (const norm_sums& sums : maker.sums()) {
    const effect& e = effects[static_cast<std::size_t>(sums.node)];
    const auto channels = e.of_mean.size();
    for (std::size_t row = 0; row < parts.size() && channels > 0; ++row) {
      for (std::size_t c = 0; c < channels; ++c) {
        parts[row] += e.of_mean[c] * sums.of_difference[row * channels + c] +
                      e.of_variance[c] * sums.of_squares[row * channels + c];
      }
    }
  }
}

template <class T>
activation_result activation_estimator<T>::estimate(index_t layer,
                                                    const activation_options& options,
                                                    const stream& from, std::span<T> gradient,
                                                    const sharing& shared) const {
  constexpr const char* who = "deepzero::activation_estimator";
  require(options.directions >= 1, who, ": directions must be at least 1, got ",
          options.directions);
  require(options.smoothing > 0, who, ": smoothing must be above 0, got ", options.smoothing);
  const T step = static_cast<T>(options.smoothing);
  require(step > T(0) && std::isfinite(step), who, ": smoothing of ", options.smoothing,
          " is no number of the scalar type");
  require(static_cast<index_t>(gradient.size()) == net().parameter_count(), who,
          ": the network has ", net().parameter_count(), " parameters, and gradient ",
          gradient.size());
  require(layer >= 0 && layer < static_cast<index_t>(net().nodes().size()) &&
              at(net(), layer).weight >= 0,
          who, ": value ", layer, " has no parameters");
  const operation what = at(net(), layer).what;
  require(mixes(what) || what == operation::batch_norm, who, ": the outputs of ",
          traits_of(what).name,
          " cannot be moved here; convolutions, linear maps and batch norms can");
  return what == operation::batch_norm ? estimate_norm(layer, options, from, gradient, shared)
                                       : estimate_weights(layer, options, from, gradient, shared);
}

// Each sample has its own beta and gamma, and their derivatives add up.
template <class T>
activation_result activation_estimator<T>::estimate_norm(index_t id,
                                                         const activation_options& options,
                                                         const stream& from, std::span<T> gradient,
                                                         const sharing& shared) const {
  const node& n = at(net(), id);
  const index_t channels = n.in.channels, area = n.in.area(), count = pass_.count();
  const std::vector<T> input = pass_.value(n.first);
  std::vector<std::int32_t> all(static_cast<std::size_t>(2 * channels));
  std::iota(all.begin(), all.end(), 0);
  const std::vector<std::vector<std::int32_t>> active(static_cast<std::size_t>(count), all);
  activation_result result{.point = id};
  const auto move = [&](index_t b, index_t unit, T h, T* change) {
    const index_t c = unit % channels;
    T* const to = change + c * area;
    if (unit < channels) {
      for (index_t i = 0; i < area; ++i) to[i] += h;
      return;
    }
    const double mean = pass_.means(id)[static_cast<std::size_t>(c)];
    const double slope = static_cast<double>(h) / pass_.roots(id)[static_cast<std::size_t>(c)];
    const T* const x = input.data() + b * n.in.size() + c * area;
    for (index_t i = 0; i < area; ++i) {
      to[i] += static_cast<T>(slope * (static_cast<double>(x[i]) - mean));
    }
  };
  const std::vector<T> slopes =
      ask(id, 2 * channels, active, options, from, gradient, shared, result, move);
  for (index_t unit = 0; unit < 2 * channels; ++unit) {
    double sum = 0;
    for (index_t b = 0; b < count; ++b) {
      sum += static_cast<double>(slopes[static_cast<std::size_t>(b * 2 * channels + unit)]);
    }
    const index_t owner = unit < channels ? n.bias : n.weight;
    gradient[static_cast<std::size_t>(net().parameters()[static_cast<std::size_t>(owner)].offset +
                                      unit % channels)] = static_cast<T>(sum);
  }
  return result;
}

template <class T>
activation_result activation_estimator<T>::estimate_weights(index_t layer,
                                                            const activation_options& options,
                                                            const stream& from,
                                                            std::span<T> gradient,
                                                            const sharing& shared) const {
  const activation_chain chain = chain_of(net(), layer);
  const index_t point = chain.point(), size = at(net(), point).out.size(), count = pass_.count();
  const auto samples = static_cast<std::size_t>(count);
  activation_result result{.point = point};

  // The values on the way, and which numbers of the point depend on the layer at all.
  std::vector<std::vector<T>> values(chain.nodes.size());
  for (std::size_t k = 0; k < chain.nodes.size(); ++k) {
    values[k] = pass_.value(chain.nodes[k]);
  }
  std::vector<std::vector<std::int32_t>> active(samples);
  each(threads_, count, [&](index_t b, int) {
    std::vector<char> reached(static_cast<std::size_t>(at(net(), layer).out.size()), 1);
    for (std::size_t k = 1; k < chain.nodes.size(); ++k) {
      const node& n = at(net(), chain.nodes[k]);
      std::vector<char> next(static_cast<std::size_t>(n.out.size()), 0);
      const index_t before = at(net(), chain.nodes[k - 1]).out.size();
      each_pair(n, values[k - 1].data() + b * before, values[k].data() + b * n.out.size(),
                [&](index_t i, index_t o, T) {
                  next[static_cast<std::size_t>(o)] |= reached[static_cast<std::size_t>(i)];
                });
      reached = std::move(next);
    }
    for (index_t i = 0; i < size; ++i) {
      if (reached[static_cast<std::size_t>(i)] != 0) {
        active[static_cast<std::size_t>(b)].push_back(static_cast<std::int32_t>(i));
      }
    }
  });
  std::vector<T> g = ask(layer, size, active, options, from, gradient, shared, result,
                         [](index_t, index_t unit, T h, T* change) { change[unit] = h; });

  // Back to the layer.
  for (std::size_t k = chain.nodes.size() - 1; k > 0; --k) {
    const index_t id = chain.nodes[k];
    const node& n = at(net(), id);
    const std::vector<T>& input = values[k - 1];
    if (n.what == operation::batch_norm) {
      const view& gamma = net().parameters()[static_cast<std::size_t>(n.weight)];
      each(threads_, n.in.channels, [&](index_t c, int) {
        through_norm(
            n, pass_, id, mode_,
            std::span<const T>(parameters_).subspan(static_cast<std::size_t>(gamma.offset)), input,
            c, g);
      });
      continue;
    }
    const index_t before = at(net(), chain.nodes[k - 1]).out.size();
    std::vector<T> earlier(samples * static_cast<std::size_t>(before), T(0));
    each(threads_, count, [&](index_t b, int) {
      T* const to = earlier.data() + b * before;
      const T* const have = g.data() + b * n.out.size();
      each_pair(n, input.data() + b * before, values[k].data() + b * n.out.size(),
                [&](index_t i, index_t o, T weight) { to[i] += weight * have[o]; });
    });
    g = std::move(earlier);
  }

  // From the outputs of the layer to its weights.
  const node& n = at(net(), layer);
  const std::vector<T> input = pass_.value(n.first);
  std::vector<T> turned(g.size());
  each(threads_, count, [&](index_t b, int) {
    for (index_t i = 0; i < n.out.size(); ++i) {
      turned[static_cast<std::size_t>(b * n.out.size() + i % n.out.area() * n.out.channels +
                                      i / n.out.area())] =
          g[static_cast<std::size_t>(b * n.out.size() + i)];
    }
  });
  const view& weight = net().parameters()[static_cast<std::size_t>(n.weight)];
  std::vector<double> sums(static_cast<std::size_t>(weight.size));
  // A linear map is a convolution of its inputs as channels of one pixel.
  node as_convolution = n;
  if (n.what == operation::linear) as_convolution.in = {n.in.size(), 1, 1};
  each(threads_, as_convolution.in.channels,
       [&](index_t c, int) { correlate(as_convolution, count, c, input, turned, sums.data()); });
  for (std::size_t i = 0; i < sums.size(); ++i) {
    gradient[static_cast<std::size_t>(weight.offset) + i] = static_cast<T>(sums[i]);
  }
  if (n.bias >= 0) {
    const view& bias = net().parameters()[static_cast<std::size_t>(n.bias)];
    for (index_t o = 0; o < n.out.channels; ++o) {
      double sum = 0;
      for (index_t p = 0; p < count * n.out.area(); ++p) {
        sum += static_cast<double>(turned[static_cast<std::size_t>(p * n.out.channels + o)]);
      }
      gradient[static_cast<std::size_t>(bias.offset + o)] = static_cast<T>(sum);
    }
  }
  return result;
}

template class activation_estimator<float>;
template class activation_estimator<double>;

}  // namespace deepzero
