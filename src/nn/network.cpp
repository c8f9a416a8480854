// Builders of networks: shapes and names are checked here, once.
#include "zo/nn/network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/limits.hpp"
#include "zo/direction.hpp"
#include "zo/random.hpp"

namespace zo::nn {

using zo::detail::require;

std::string text_of(const shape& s) {
  return std::to_string(s.channels) + " x " + std::to_string(s.height) + " x " +
         std::to_string(s.width);
}

namespace detail {

index_t product_of(std::initializer_list<index_t> factors) {
  index_t product = 1;
  bool fits = true;
  for (const index_t f : factors) {
    if (f == 0) return 0;
    if (fits) fits = !__builtin_mul_overflow(product, f, &product);
  }
  return fits ? product : std::numeric_limits<index_t>::max();
}

}  // namespace detail

namespace {

using detail::most_multiplications;
using detail::most_numbers;
using detail::most_pixels;
using detail::most_values;
using detail::product_of;

void check_size(const std::string& name, const shape& s) {
  require(product_of({s.height, s.width}) <= most_pixels &&
              product_of({s.channels, s.height, s.width}) <= most_numbers,
          "zo::nn::network: ", name, ": ", text_of(s), " are more numbers than fit into memory");
}

}  // namespace

network::network(shape input) {
  require(input.channels >= 1 && input.height >= 1 && input.width >= 1,
          "zo::nn::network: an input of ", text_of(input), " holds nothing");
  check_size("input", input);
  node first;
  first.name = "input";
  first.in = first.out = input;
  nodes_.push_back(first);
}

const node& network::at(index_t value, const char* what) const {
  require(value >= 0 && value < static_cast<index_t>(nodes_.size()), "zo::nn::network: ", what,
          " works on value ", value, ", and there are only 0 … ", nodes_.size() - 1);
  return nodes_[static_cast<std::size_t>(value)];
}

// Everything that a layer with parameters could be refused for, before it adds any; counts its
// multiplications.
void network::admit(node& added, std::initializer_list<index_t> weight, index_t bias) {
  require(static_cast<index_t>(nodes_.size()) < most_values, "zo::nn::network: ", added.name,
          ": a network has at most ", most_values, " values");
  check_size(added.name, added.out);
  const index_t size = product_of(weight);
  require(size <= most_numbers && parameter_count_ + size + bias <= most_numbers,
          "zo::nn::network: ", added.name, " would make more parameters than fit into memory");
  if (mixes(added.what)) added.multiplications = product_of({size, added.out.area()});
  require(!names_.contains(added.name), "zo::nn::network: two parameters are called ", added.name,
          ".weight");
  count(added);
  names_.insert(added.name);
}

void network::count(const node& added) {
  require(added.multiplications <= most_multiplications - multiplications_,
          "zo::nn::network: ", added.name.empty() ? traits_of(added.what).name : added.name,
          " would make more multiplications than can be counted");
  multiplications_ += added.multiplications;
}

index_t network::append(node added) {
  require(static_cast<index_t>(nodes_.size()) < most_values,
          "zo::nn::network: a network has at most ", most_values, " values");
  check_size(added.name.empty() ? "a value" : added.name, added.out);
  nodes_.push_back(std::move(added));
  return static_cast<index_t>(nodes_.size()) - 1;
}

index_t network::add_parameter(const std::string& name, std::vector<index_t> dims) {
  view v{name, std::move(dims), parameter_count_, 1, static_cast<index_t>(nodes_.size())};
  for (const index_t n : v.dims) v.size *= n;
  parameter_count_ += v.size;
  parameters_.push_back(std::move(v));
  return static_cast<index_t>(parameters_.size()) - 1;
}

index_t network::add_statistic(const std::string& name, index_t size) {
  statistics_.push_back(
      {name, {size}, statistic_count_, size, static_cast<index_t>(nodes_.size())});
  statistic_count_ += size;
  return static_cast<index_t>(statistics_.size()) - 1;
}

const view& network::parameter(const std::string& name) const {
  const auto found = std::ranges::find(parameters_, name, &view::name);
  if (found != parameters_.end()) return *found;
  std::string names;
  for (const view& v : parameters_) names += (names.empty() ? "" : ", ") + v.name;
  require(false, "zo::nn::network: no parameter is called ", name, "; there are ", names);
  return *found;
}

const view& network::parameter_of(index_t coordinate) const {
  require(coordinate >= 0 && coordinate < parameter_count_, "zo::nn::network: coordinate ",
          coordinate, " is not in 0 … ", parameter_count_ - 1);
  const auto after = std::ranges::upper_bound(parameters_, coordinate, {}, &view::offset);
  return *(after - 1);
}

network_part network::part(index_t input, index_t first, index_t last) const {
  require(
      input >= 0 && input < first && first <= last && last < static_cast<index_t>(nodes_.size()),
      "zo::nn::network: a part is of values that come after its input, of 0 … ", nodes_.size() - 1,
      ", got values ", first, " to ", last, " of input ", input);
  const auto from_first = [&](const std::vector<view>& views) {
    return std::ranges::find_if(views, [&](const view& v) { return v.node >= first; });
  };
  const auto parameter = from_first(parameters_), statistic = from_first(statistics_);
  network_part found{network(nodes_[static_cast<std::size_t>(input)].out),
                     parameter == parameters_.end() ? parameter_count_ : parameter->offset,
                     statistic == statistics_.end() ? statistic_count_ : statistic->offset};
  const auto moved = [](index_t number, index_t by) { return number < 0 ? number : number - by; };
  const auto parameters = parameter - parameters_.begin(),
             statistics = statistic - statistics_.begin();
  for (index_t id = first; id <= last; ++id) {
    node n = nodes_[static_cast<std::size_t>(id)];
    for (index_t* const read : {&n.first, &n.second}) {
      require(*read < 0 || *read == input || *read >= first, "zo::nn::network: value ", id,
              " is made of value ", *read, ", which a part from value ", first, " on of input ",
              input, " does not have");
      *read = *read == input ? 0 : moved(*read, first - 1);
    }
    for (index_t* const number : {&n.weight, &n.bias}) *number = moved(*number, parameters);
    for (index_t* const sum : {&n.running_mean, &n.running_var}) *sum = moved(*sum, statistics);
    for (auto v = parameter; v != parameters_.end(); ++v) {
      if (v->node == id) found.net.add_parameter(v->name, v->dims);
    }
    for (auto v = statistic; v != statistics_.end(); ++v) {
      if (v->node == id) found.net.add_statistic(v->name, v->size);
    }
    if (!n.name.empty()) found.net.names_.insert(n.name);
    found.net.count(n);
    found.net.append(std::move(n));
  }
  return found;
}

network resnet(index_t depth, const resnet_options& options) {
  constexpr index_t deepest = 9002;  // as many values as a network may have
  require(
      depth >= 8 && depth <= deepest && (depth - 2) % 6 == 0,
      "zo::nn::resnet: depth must be 6 n + 2 for n of at least 1 (20, 32, 44, 56, 110), at most ",
      deepest, ", got ", depth);
  network net({3, 32, 32});
  const auto convolve = [&](index_t from, const std::string& name, index_t channels,
                            index_t stride) {
    return net.convolution(from, name, {.channels = channels, .stride = stride});
  };
  index_t x = net.relu(net.batch_norm(convolve(net.input(), "conv1", 16, 1), "bn1"));
  for (index_t stage = 1; stage <= 3; ++stage) {
    const index_t channels = index_t{8} << stage;
    for (index_t block = 0; block < (depth - 2) / 6; ++block) {
      const std::string name = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      const bool shrinks = stage > 1 && block == 0;
      index_t y = convolve(x, name + "conv1", channels, shrinks ? 2 : 1);
      y = net.relu(net.batch_norm(y, name + "bn1"));
      y = net.batch_norm(convolve(y, name + "conv2", channels, 1), name + "bn2");
      if (shrinks && options.shortcuts == shortcut::identity) x = net.subsample(x, channels);
      if (shrinks && options.shortcuts == shortcut::projection) {
        x = net.convolution(x, name + "shortcut.0",
                            {.channels = channels, .kernel = 1, .stride = 2, .padding = 0});
        x = net.batch_norm(x, name + "shortcut.1");
      }
      x = net.relu(net.add(y, x));
    }
  }
  net.linear(net.global_average_pool(x), "linear", options.classes);
  return net;
}

network adjustable_cnn(shape input, index_t channels, index_t depth, index_t classes) {
  require(depth >= 1, "zo::nn::adjustable_cnn: depth must be at least 1, got ", depth);
  network net(input);
  index_t x = net.input();
  for (index_t stage = 0; stage < depth; ++stage) {
    const std::string number = std::to_string(stage);
    x = net.convolution(x, "conv" + number, {.channels = channels, .bias = true});
    x = net.max_pool(net.relu(net.batch_norm(x, "bn" + number)));
  }
  net.linear(net.global_average_pool(x), "linear", classes);
  return net;
}

namespace {

// One layer of torch.nn.TransformerEncoder.
index_t encoder_layer(network& net, index_t x, const std::string& name,
                      const transformer_options& o) {
  const auto attend = [&](index_t from) {
    const index_t qkv =
        net.position_wise(from, name + "self_attn.in_proj", 3 * o.width, {.separator = "_"});
    const index_t mixed = net.attention(qkv, {.heads = o.heads, .causal = o.causal});
    return net.position_wise(mixed, name + "self_attn.out_proj", o.width);
  };
  const auto feed = [&](index_t from) {
    const index_t inner = net.position_wise(from, name + "linear1", o.feed_forward);
    const index_t active = o.activation == activation::gelu ? net.gelu(inner) : net.relu(inner);
    return net.position_wise(active, name + "linear2", o.width);
  };
  const auto norm = [&](index_t from, const char* which) {
    return net.layer_norm(from, name + which);
  };
  if (o.norm_first) {
    x = net.add(x, attend(norm(x, "norm1")));
    return net.add(x, feed(norm(x, "norm2")));
  }
  x = norm(net.add(x, attend(x)), "norm1");
  return norm(net.add(x, feed(x)), "norm2");
}

}  // namespace

network transformer(const transformer_options& o) {
  require(o.tokens >= 1 && o.layers >= 1 && o.heads >= 1 && o.width >= 1,
          "zo::nn::transformer: tokens, layers, heads and width must be at least 1, got ", o.tokens,
          ", ", o.layers, ", ", o.heads, " and ", o.width);
  require(o.width % o.heads == 0, "zo::nn::transformer: width must be a multiple of heads, got ",
          o.width, " and ", o.heads);
  network net({1, o.tokens, 1});
  index_t x = net.embedding(net.input(), "embedding", o.entries, o.width);
  x = net.positions(x, "positions");
  for (index_t k = 0; k < o.layers; ++k) {
    x = encoder_layer(net, x, "encoder.layers." + std::to_string(k) + ".", o);
  }
  net.linear(net.global_average_pool(x), "linear", o.classes);
  return net;
}

network mlp(const std::vector<index_t>& sizes) {
  require(sizes.size() >= 2, "zo::nn::mlp: give at least the sizes of input and output, got ",
          sizes.size());
  network net({sizes.front(), 1, 1});
  index_t x = net.input();
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    x = net.linear(x, "linear" + std::to_string(k), sizes[k]);
    if (k + 1 < sizes.size()) x = net.relu(x);
  }
  return net;
}

namespace {

// Uniform in (0, 1) from the word that would make the radius of a normal.
double uniform(const stream& from, index_t i) {
  const auto words = from.words(static_cast<std::uint32_t>(i / 4));
  const std::uint32_t all[4] = {words.w0, words.w1, words.w2, words.w3};
  return (static_cast<double>(all[i % 4]) + 0.5) / 4294967296.0;
}

// rows x columns with orthonormal rows, or columns where those are fewer: the Q of a Gaussian
// matrix whose R has a positive diagonal. Projected out twice, because once leaves rounding of the
// order of the condition number.
std::vector<double> orthonormal(const stream& from, index_t rows, index_t columns) {
  const index_t vectors = std::min(rows, columns), length = std::max(rows, columns);
  std::vector<double> q(static_cast<std::size_t>(rows * columns));
  for (index_t v = 0; v < vectors; ++v) {
    double* const own = q.data() + v * length;
    for (index_t i = 0; i < length; ++i) {
      own[i] = static_cast<double>(zo::detail::raw_value<zo::gaussian>(from, v * length + i));
    }
    const auto dot = [&](const double* with) {
      double sum = 0;
      for (index_t i = 0; i < length; ++i) sum += own[i] * with[i];
      return sum;
    };
    for (int time = 0; time < 2; ++time) {
      for (index_t before = 0; before < v; ++before) {
        const double* const other = q.data() + before * length;
        const double along = dot(other);
        for (index_t i = 0; i < length; ++i) own[i] -= along * other[i];
      }
    }
    const double norm = std::sqrt(dot(own));
    for (index_t i = 0; i < length; ++i) own[i] /= norm;
  }
  if (vectors == rows) return q;
  std::vector<double> turned(q.size());
  for (index_t r = 0; r < rows; ++r) {
    for (index_t c = 0; c < columns; ++c) {
      turned[static_cast<std::size_t>(r * columns + c)] =
          q[static_cast<std::size_t>(c * length + r)];
    }
  }
  return turned;
}

}  // namespace

template <class T>
void initialize(const network& net, initialization how, std::uint64_t seed,
                std::span<T> parameters) {
  require(static_cast<index_t>(parameters.size()) == net.parameter_count(),
          "zo::nn::initialize: the network has ", net.parameter_count(),
          " parameters, got room for ", parameters.size());
  std::uint32_t number = 0;
  for (const view& v : net.parameters()) {
    const node& owner = net.nodes()[static_cast<std::size_t>(v.node)];
    const stream from{seed, 0, number++, purpose::direction};
    const bool is_weight = v.dims.size() > 1;
    const index_t fan_in = net.parameters()[static_cast<std::size_t>(owner.weight)].per_channel();
    std::vector<double> whole;
    if (is_weight && how == initialization::orthogonal) {
      whole = orthonormal(from, v.dims.front(), fan_in);
    }
    for (index_t i = 0; i < v.size; ++i) {
      double value = 0;
      if (owner.what == operation::batch_norm) {
        value = v.offset == net.parameters()[static_cast<std::size_t>(owner.weight)].offset ? 1 : 0;
      } else if (how == initialization::kaiming_uniform) {
        value = (2 * uniform(from, i) - 1) / std::sqrt(static_cast<double>(fan_in));
      } else if (!whole.empty()) {
        value = whole[static_cast<std::size_t>(i)];
      } else if (is_weight) {
        value = static_cast<double>(zo::detail::raw_value<zo::gaussian>(from, i)) *
                std::sqrt(2.0 / static_cast<double>(fan_in));
      }
      parameters[static_cast<std::size_t>(v.offset + i)] = static_cast<T>(value);
    }
  }
}

template <class T>
void initialize_statistics(const network& net, std::span<T> statistics) {
  require(static_cast<index_t>(statistics.size()) == net.statistic_count(),
          "zo::nn::initialize_statistics: the network has ", net.statistic_count(),
          " statistics, got room for ", statistics.size());
  for (const node& n : net.nodes()) {
    if (n.what != operation::batch_norm) continue;
    const view& mean = net.statistics()[static_cast<std::size_t>(n.running_mean)];
    const view& var = net.statistics()[static_cast<std::size_t>(n.running_var)];
    std::fill_n(statistics.begin() + mean.offset, mean.size, T(0));
    std::fill_n(statistics.begin() + var.offset, var.size, T(1));
  }
}

template void initialize(const network&, initialization, std::uint64_t, std::span<float>);
template void initialize(const network&, initialization, std::uint64_t, std::span<double>);
template void initialize_statistics(const network&, std::span<float>);
template void initialize_statistics(const network&, std::span<double>);

}  // namespace zo::nn
