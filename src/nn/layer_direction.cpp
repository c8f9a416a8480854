// Directions in one layer's weights, as small networks of their own.
#include "zo/nn/layer_direction.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "zo/direction.hpp"
#include "zo/execution.hpp"
#include "zo/nn/difference_pass.hpp"

namespace zo::nn {

using zo::detail::require;

namespace {

struct layer_sizes {
  index_t outputs, fan_in, biases;
  index_t weights() const { return outputs * fan_in; }
};

layer_sizes sizes_of(const network& net, index_t layer, const layer_direction_options& o) {
  constexpr const char* who = "zo::nn::estimate_by_directions";
  require(layer >= 0 && layer < static_cast<index_t>(net.nodes().size()), who, ": value ", layer,
          " is not in 0 … ", net.nodes().size() - 1);
  const node& n = net.nodes()[static_cast<std::size_t>(layer)];
  require(mixes(n.what), who, ": value ", layer, " is no convolution and no linear map");
  // The number of a direction holds both.
  require(layer < 4096, who, ": at most 4096 values, got value ", layer);
  require(o.directions >= 1 && o.directions <= (index_t{1} << 20), who,
          ": directions must be 1 … 2^20, got ", o.directions);
  require(o.smoothing > 0, who, ": smoothing must be above 0, got ", o.smoothing);
  const view& weight = net.parameters()[static_cast<std::size_t>(n.weight)];
  require(!o.rank || (*o.rank >= 1 && *o.rank <= weight.size), who, ": rank must be 1 … ",
          weight.size, ", got ", o.rank.value_or(1));
  return {weight.dims.front(), weight.per_channel(), n.bias < 0 ? 0 : n.out.channels};
}

// The signs of one direction: those of U, or of the columns of B and then the rows of A; biases.
template <class T>
std::vector<T> signs_of(const layer_sizes& sizes, const layer_direction_options& options,
                        index_t layer, const stream& from, index_t number) {
  const index_t of_weights =
      options.rank ? *options.rank * (sizes.outputs + sizes.fan_in) : sizes.weights();
  std::vector<T> signs(static_cast<std::size_t>(of_weights + sizes.biases));
  stream own = from;
  own.number = static_cast<std::uint32_t>((layer << 20) + number);
  fill_direction(rademacher{}, own, std::span<T>(signs));
  return signs;
}

// to += factor x direction.
template <class T>
void add_direction(const layer_sizes& sizes, const layer_direction_options& options,
                   const std::vector<T>& signs, double factor, std::span<double> to) {
  const T* next = signs.data();
  if (!options.rank) {
    for (index_t i = 0; i < sizes.weights(); ++i) {
      to[static_cast<std::size_t>(i)] += factor * static_cast<double>(*next++);
    }
  } else {
    const index_t rank = *options.rank;
    const double scale = factor / std::sqrt(static_cast<double>(rank));
    const T* const b = signs.data();
    const T* const a = b + rank * sizes.fan_in;
    for (index_t o = 0; o < sizes.outputs; ++o) {
      double* const row = to.data() + o * sizes.fan_in;
      for (index_t p = 0; p < rank; ++p) {
        const double along = scale * static_cast<double>(a[o * rank + p]);
        const T* const filter = b + p * sizes.fan_in;
        for (index_t i = 0; i < sizes.fan_in; ++i) row[i] += along * static_cast<double>(filter[i]);
      }
    }
    next = a + rank * sizes.outputs;
  }
  for (index_t o = 0; o < sizes.biases; ++o) {
    to[static_cast<std::size_t>(sizes.weights() + o)] += factor * static_cast<double>(next[o]);
  }
}

// The layer alone, with a direction for its weights: parameters lie as signs_of has them.
network alone(const node& n, const std::optional<index_t>& rank) {
  network net(n.in);
  const bool bias = n.bias >= 0;
  if (n.what == operation::linear) {
    net.linear(rank ? net.linear(0, "b", *rank, false) : 0, "a", n.out.channels, bias);
    return net;
  }
  convolution_options o{n.out.channels, n.kernel, n.stride, n.padding, bias};
  index_t from = 0;
  if (rank) {
    from = net.convolution(0, "b", {*rank, n.kernel, n.stride, n.padding, false});
    o = {n.out.channels, 1, 1, 0, bias};
  }
  net.convolution(from, "a", o);
  return net;
}

}  // namespace

template <class T>
void fill_layer_direction(const network& net, index_t layer, const layer_direction_options& options,
                          const stream& from, index_t number, std::span<T> out) {
  const layer_sizes sizes = sizes_of(net, layer, options);
  require(number >= 0 && number < (index_t{1} << 20),
          "zo::nn::fill_layer_direction: number must be 0 … 2^20 - 1, got ", number);
  require(static_cast<index_t>(out.size()) == sizes.weights() + sizes.biases,
          "zo::nn::fill_layer_direction: the layer has ", sizes.weights() + sizes.biases,
          " parameters, got room for ", out.size());
  std::vector<double> direction(out.size());
  add_direction(sizes, options, signs_of<T>(sizes, options, layer, from, number), 1.0,
                std::span<double>(direction));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(direction[i]);
}

template <class T, class Loss>
index_t estimate_by_directions(const forward_pass<T>& base, const Loss& loss, index_t layer,
                               const layer_direction_options& options, const stream& from,
                               std::span<T> gradient, int threads) {
  constexpr const char* who = "zo::nn::estimate_by_directions";
  const network& net = base.net();
  const T step = static_cast<T>(options.smoothing);
  const layer_sizes sizes = sizes_of(net, layer, options);
  require(static_cast<index_t>(gradient.size()) == net.parameter_count(), who, ": the network has ",
          net.parameter_count(), " parameters, and gradient ", gradient.size());
  require(step > T(0) && std::isfinite(step), who, ": smoothing of ", options.smoothing,
          " is no number of the scalar type");
  threads = detail::check_threads(who, threads);
  const node& n = net.nodes()[static_cast<std::size_t>(layer)];
  const network own = alone(n, options.rank);
  const std::vector<T> inputs = base.value(n.first);
  struct worker {
    forward_pass<T> layer;
    difference_pass<T> rest;
  };
  std::vector<std::unique_ptr<worker>> workers;
  for (index_t k = 0; k < std::min<index_t>(threads, options.directions); ++k) {
    workers.push_back(
        std::make_unique<worker>(worker{forward_pass<T>(own), difference_pass<T>(base)}));
  }
  std::vector<double> slopes(static_cast<std::size_t>(options.directions));
  auto one = [&](index_t k, int number) {
    worker& w = *workers[static_cast<std::size_t>(number)];
    std::vector<T> moved = signs_of<T>(sizes, options, layer, from, k);
    // Signs of B stay signs; whatever comes last carries the step.
    const index_t first = options.rank ? *options.rank * sizes.fan_in : 0;
    const T of_weights =
        options.rank
            ? static_cast<T>(options.smoothing / std::sqrt(static_cast<double>(*options.rank)))
            : step;
    const auto biases = static_cast<index_t>(moved.size()) - sizes.biases;
    for (index_t i = first; i < static_cast<index_t>(moved.size()); ++i) {
      moved[static_cast<std::size_t>(i)] *= i < biases ? of_weights : step;
    }
    w.layer.run(moved, {}, inputs, base.count(), norm_mode::eval);
    const std::span<const T> outputs = w.rest.from(layer, w.layer.outputs(), coupling::batch);
    slopes[static_cast<std::size_t>(k)] =
        loss.template difference<T>(outputs.data()) / options.smoothing;
  };
  zo::detail::run_loop(threads, options.directions, zo::detail::loop_body(one));
  index_t multiplications = own.multiplications() * base.count() * options.directions;
  for (const auto& w : workers) multiplications += w->rest.multiplications();
  std::vector<double> sum(static_cast<std::size_t>(sizes.weights() + sizes.biases));
  for (index_t k = 0; k < options.directions; ++k) {
    add_direction(sizes, options, signs_of<T>(sizes, options, layer, from, k),
                  slopes[static_cast<std::size_t>(k)] / static_cast<double>(options.directions),
                  std::span<double>(sum));
  }
  const auto weight =
      static_cast<std::size_t>(net.parameters()[static_cast<std::size_t>(n.weight)].offset);
  for (index_t i = 0; i < sizes.weights(); ++i) {
    gradient[weight + static_cast<std::size_t>(i)] =
        static_cast<T>(sum[static_cast<std::size_t>(i)]);
  }
  if (n.bias < 0) return multiplications;
  const auto bias =
      static_cast<std::size_t>(net.parameters()[static_cast<std::size_t>(n.bias)].offset);
  for (index_t o = 0; o < sizes.biases; ++o) {
    gradient[bias + static_cast<std::size_t>(o)] =
        static_cast<T>(sum[static_cast<std::size_t>(sizes.weights() + o)]);
  }
  return multiplications;
}

template void fill_layer_direction(const network&, index_t, const layer_direction_options&,
                                   const stream&, index_t, std::span<float>);
template void fill_layer_direction(const network&, index_t, const layer_direction_options&,
                                   const stream&, index_t, std::span<double>);
template index_t estimate_by_directions(const forward_pass<float>&, const cross_entropy&, index_t,
                                        const layer_direction_options&, const stream&,
                                        std::span<float>, int);
template index_t estimate_by_directions(const forward_pass<float>&, const squared_error&, index_t,
                                        const layer_direction_options&, const stream&,
                                        std::span<float>, int);
template index_t estimate_by_directions(const forward_pass<double>&, const cross_entropy&, index_t,
                                        const layer_direction_options&, const stream&,
                                        std::span<double>, int);
template index_t estimate_by_directions(const forward_pass<double>&, const squared_error&, index_t,
                                        const layer_direction_options&, const stream&,
                                        std::span<double>, int);

}  // namespace zo::nn
