// A forward pass, group by group; batch norms by statistics of the whole batch.
#include "pass_values.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <utility>

#include "operations.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::nn {

namespace {

using detail::fit;
using zo::detail::loop_body;
using zo::detail::require;
using zo::detail::run_loop;

template <class Body>
void each(int threads, index_t items, Body&& body) {
  run_loop(threads, items, loop_body(body));
}

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// Positions of a batch norm that one item of a loop takes.
constexpr index_t positions_an_item = 64;

index_t pieces_of(index_t positions) {
  return (positions + positions_an_item - 1) / positions_an_item;
}

constexpr const char* who = "zo::nn::forward_pass";

}  // namespace

namespace detail {

template <class T>
pass_values<T>::pass_values(const network& of)
    : net(std::make_shared<const network>(of)),
      together(std::make_shared<const evaluation>(of)),
      values(of.nodes().size()),
      packed(of.nodes().size()),
      tiles(of.nodes().size()),
      pairs(of.nodes().size()),
      means(of.nodes().size()),
      rests(of.nodes().size()),
      variances(of.nodes().size()),
      roots(of.nodes().size()),
      factors(of.nodes().size()) {}

template <class T>
std::span<const T> pass_values<T>::parameter(index_t number) const {
  if (number < 0) return {};
  const view& v = net->parameters()[at(number)];
  return std::span(parameters).subspan(at(v.offset), at(v.size));
}

template <class T>
void pass_values<T>::check_run() const {
  require(has_run, who, ": there are no values before run");
}

template <class T>
void pass_values<T>::check_norm(index_t node) const {
  check_run();
  require(node >= 0 && node < static_cast<index_t>(net->nodes().size()) &&
              net->nodes()[at(node)].what == operation::batch_norm,
          who, ": value ", node, " is no batch norm");
}

// A pass keeps what its last batch needs, and not what the largest one needed.
template <class T>
void pass_values<T>::make_room(index_t count) {
  constexpr index_t most = std::numeric_limits<index_t>::max() / 8;
  for (const node& n : net->nodes()) {
    require(product_of({count, n.out.size(), lanes}) < most, who, ": ", count, " samples of ",
            text_of(n.out), " are more numbers than fit into memory");
  }
  if (groups_of(count) == groups_of(samples)) return;
  for (lane_vector<T>& v : values) v = lane_vector<T>();
  sums = std::vector<double>();  // an empty list would keep the memory
}

template <class T>
void pass_values<T>::evaluate(std::span<const T> statistics, std::span<const T> inputs,
                              int threads) {
  const index_t groups = groups_of(samples);
  const auto size_of = [&](const shape& s) { return groups * s.size() * lanes; };
  for (index_t id = 0; id < static_cast<index_t>(net->nodes().size()); ++id) {
    const node& n = net->nodes()[at(id)];
    if (together->absorbed[at(id)]) continue;
    lane_vector<T>& out = values[at(id)];
    fit(out, size_of(n.out));
    if (together->chains[at(id)].norm >= 0) {
      const norm_chain& chain = together->chains[at(id)];
      if (chain.add >= 0 && chain.relu >= 0) fit(values[at(chain.add)], size_of(n.out));
      normalize(id, statistics, threads);
      continue;
    }
    if (mixes(n.what)) {
      pack_weights(n, parameter(n.weight).data(), packed[at(id)]);
      convolve(id, threads);
      continue;
    }
    if (n.what == operation::input) {
      to_lanes(n.out, samples, inputs.data(), out.data());
      continue;
    }
    const T* const y = n.second < 0 ? nullptr : data(n.second);
    each(threads, groups, [&](index_t g, int) {
      const index_t in = g * n.in.size() * lanes;
      detail::evaluate(n, data(n.first) + in, y == nullptr ? y : y + in,
                       values[at(id)].data() + g * n.out.size() * lanes);
    });
  }
  fit(outputs, samples * net->output().size());
  from_lanes(net->output(), samples, values.back().data(), outputs.data());
}

template <class T>
void pass_values<T>::convolve(index_t id, int threads) {
  const node& n = net->nodes()[at(id)];
  const std::span<const T> bias = parameter(n.bias);
  const std::vector<chunk>& chunks = together->chunks[at(id)];
  const auto pieces = static_cast<index_t>(chunks.size());
  // A batch norm needs the sums of these outputs, and they are near now.
  const index_t norm = mode == norm_mode::train ? together->norm_after[at(id)] : -1;
  const std::vector<T> zero(at(n.out.channels), T(0));
  const index_t room = n.out.channels * 2 * lanes;
  summed = norm >= 0 ? id : -1;
  if (norm >= 0) sums.assign(at(groups_of(samples) * pieces * room), 0);
  each(threads, groups_of(samples) * pieces, [&](index_t item, int) {
    const index_t group = item / pieces * lanes;
    const chunk& piece = chunks[at(item % pieces)];
    auto loop = whole_convolution<T>(n, std::as_const(packed[at(id)]).data());
    loop.runs = together->runs[at(id)].data() + piece.first_run;
    loop.count = piece.runs;
    loop.bias = bias.empty() ? nullptr : bias.data();
    loop.in = data(n.first) + group * n.in.size();
    loop.out = values[at(id)].data() + group * n.out.size();
    best_loops<T>().convolve(loop);
    if (norm < 0) return;
    const T* const made = loop.out + piece.first_position * n.out.channels * lanes;
    best_loops<T>().norm_sums({{piece.positions, n.out.channels},
                               {},
                               {made, n.out.channels},
                               zero.data(),
                               nullptr,
                               sums.data() + item * room});
  });
}

// Means and roots of the input of a batch norm over the batch: sums by item in a fixed order, first
// for the mean, then around it. The first are there already where a convolution made the input.
template <class T>
void pass_values<T>::measure(index_t id, bool sums_known, int threads) {
  const node& n = net->nodes()[at(id)];
  const index_t channels = n.in.channels, area = n.in.area(), groups = groups_of(samples);
  const index_t room = channels * 2 * lanes;  // sums of an item
  const double numbers = static_cast<double>(samples * area);
  std::vector<T> centre(at(channels), T(0));
  std::vector<double>& mean = means[at(id)];
  std::vector<double>& variance = variances[at(id)];
  std::vector<double>& rest = rests[at(id)];
  variance.resize(at(channels));
  for (int round = 0; round < 2; ++round) {
    index_t pieces = pieces_of(area);
    if (round == 0 && sums_known) {
      pieces = static_cast<index_t>(together->chunks[at(n.first)].size());
    } else {
      sums.assign(at(groups * pieces * room), 0);
      each(threads, groups * pieces, [&](index_t item, int) {
        const index_t first = item % pieces * positions_an_item;
        const index_t count = std::min(positions_an_item, area - first);
        const T* const x = data(n.first) + (item / pieces * n.in.size() + first * channels) * lanes;
        best_loops<T>().norm_sums({{count, channels},
                                   {},
                                   {x, channels},
                                   centre.data(),
                                   nullptr,
                                   sums.data() + item * room});
      });
    }
    for (index_t c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      for (index_t item = 0; item < groups * pieces; ++item) {
        const index_t valid = std::min(lanes, samples - item / pieces * lanes);
        const double* const from = sums.data() + item * room + c * 2 * lanes;
        for (index_t k = 0; k < valid; ++k) sum += from[k];
        for (index_t k = 0; k < valid; ++k) squares += from[lanes + k];
      }
      const auto around = static_cast<double>(centre[at(c)]);
      mean[at(c)] = around + sum / numbers;
      variance[at(c)] = (squares - sum * (sum / numbers)) / numbers;
      centre[at(c)] = static_cast<T>(mean[at(c)]);
      rest[at(c)] = (around - static_cast<double>(centre[at(c)])) + sum / numbers;
    }
  }
  for (index_t c = 0; c < channels; ++c) {
    if (!is_finite(variance[at(c)])) {
      const auto value = [&, rows = data(n.first)](index_t i) {
        const index_t sample = i / area, row = sample / lanes * area + i % area;
        return static_cast<double>(rows[(row * channels + c) * lanes + sample % lanes]);
      };
      const auto found = careful_moments(samples * area, value, n.epsilon);
      mean[at(c)] = found.mean;
      rest[at(c)] = found.mean - static_cast<double>(static_cast<T>(found.mean));
      variance[at(c)] = found.variance;
      roots[at(id)][at(c)] = found.root;
      continue;
    }
    if (variance[at(c)] < 0) variance[at(c)] = 0;
    roots[at(id)][at(c)] = std::sqrt(variance[at(c)] + n.epsilon);
  }
}

template <class T>
void pass_values<T>::normalize(index_t id, std::span<const T> statistics, int threads) {
  const norm_chain& chain = together->chains[at(id)];
  const node& n = net->nodes()[at(chain.norm)];
  const index_t channels = n.in.channels;
  std::vector<double>& mean = means[at(chain.norm)];
  std::vector<double>& root = roots[at(chain.norm)];
  std::vector<double>& rest = rests[at(chain.norm)];
  mean.resize(at(channels));
  rest.assign(at(channels), 0);
  root.resize(at(channels));
  if (mode == norm_mode::train) {
    measure(chain.norm, n.first == summed, threads);
    summed = -1;
  } else {
    const index_t first_mean = net->statistics()[at(n.running_mean)].offset;
    const index_t first_variance = net->statistics()[at(n.running_var)].offset;
    for (index_t c = 0; c < channels; ++c) {
      const auto running = static_cast<double>(statistics[at(first_variance + c)]);
      require(!(running < 0), who, ": ", n.name, ".running_var is ", running, " in channel ", c,
              ", and a variance is not negative");
      mean[at(c)] = static_cast<double>(statistics[at(first_mean + c)]);
      root[at(c)] = std::sqrt(running + n.epsilon);
    }
  }
  norm_factors<T>& found = factors[at(chain.norm)];
  const std::span<const T> gamma = parameter(n.weight);
  found.mean.assign(mean.begin(), mean.end());
  found.scale.resize(at(channels));
  const std::span<const T> beta = parameter(n.bias);
  found.shift.resize(at(channels));
  for (index_t c = 0; c < channels; ++c) {
    const double scale = static_cast<double>(gamma[at(c)]) / root[at(c)];
    found.scale[at(c)] = static_cast<T>(scale);
    found.shift[at(c)] = static_cast<T>(static_cast<double>(beta[at(c)]) - rest[at(c)] * scale);
  }
  const index_t area = n.in.area();
  const index_t pieces = pieces_of(area);
  each(threads, groups_of(samples) * pieces, [&](index_t item, int) {
    const index_t first = item % pieces * positions_an_item;
    const index_t at_rows = (item / pieces * area + first) * channels * lanes;
    const auto from = [&](index_t value) {
      return source<T>{value < 0 ? nullptr : data(value) + at_rows, channels};
    };
    best_loops<T>().norm(
        {{std::min(positions_an_item, area - first), channels},
         from(n.first),
         from(chain.other),
         found.mean.data(),
         found.scale.data(),
         found.shift.data(),
         chain.relu >= 0,
         chain.add < 0 || chain.relu < 0 ? nullptr : values[at(chain.add)].data() + at_rows,
         values[at(id)].data() + at_rows});
  });
}

template <class T>
void pass_values<T>::pack_for(products how) {
  ++runs;
  for (std::size_t id = 0; id < net->nodes().size(); ++id) {
    const node& n = net->nodes()[id];
    if (!mixes(n.what)) continue;
    const T* const weight = parameter(n.weight).data();
    const bool in_pairs = has_pairs(n, how);
    if (in_pairs || !has_tiles(n)) {
      tiles[id] = lane_vector<T>();
    } else {
      pack_tiles(n, weight, tiles[id]);
    }
    if constexpr (std::same_as<T, float>) {
      if (in_pairs) {
        pack_pairs(n, weight, pairs[id]);
      } else {
        pairs[id] = std::vector<bfloat16_pair>();
      }
    }
  }
  differences = how;
}

template <class T>
std::vector<T> pass_values<T>::rows_of(index_t node) const {
  const shape& s = net->nodes()[at(node)].out;
  std::vector<T> rows(at(samples * s.size()));
  if (!values[at(node)].empty()) {
    from_lanes(s, samples, data(node), rows.data());
    return rows;
  }
  // A batch norm that was evaluated together with what follows it.
  const norm_factors<T>& found = factors[at(node)];
  const index_t groups = groups_of(samples);
  lane_vector<T> made(at(groups * s.size() * lanes));
  best_loops<T>().norm({{groups * s.area(), s.channels},
                        {data(net->nodes()[at(node)].first), s.channels},
                        {},
                        found.mean.data(),
                        found.scale.data(),
                        found.shift.data(),
                        false,
                        nullptr,
                        made.data()});
  from_lanes(s, samples, made.data(), rows.data());
  return rows;
}

template struct pass_values<float>;
template struct pass_values<double>;

}  // namespace detail

template <class T>
index_t pass_bytes(const network& net, index_t count, std::optional<products> differences) {
  zo::detail::require(count >= 1, "zo::nn::pass_bytes: a batch needs at least one sample, got ",
                      count);
  const detail::evaluation whole(net);
  const index_t rows = detail::product_of({detail::groups_of(count), detail::lanes});
  index_t of_sample = 0, sums = 0, others = 0, of_norms = 0, packed = 0;
  for (std::size_t id = 0; id < net.nodes().size(); ++id) {
    const node& n = net.nodes()[id];
    const detail::norm_chain& chain = whole.chains[id];
    const bool sum_kept = chain.add >= 0 && chain.relu >= 0;
    if (!whole.absorbed[id]) of_sample += n.out.size() * (sum_kept ? 2 : 1);
    if (n.what == operation::batch_norm) {
      const index_t pieces =
          std::max(pieces_of(n.in.area()), static_cast<index_t>(whole.chunks[at(n.first)].size()));
      sums = std::max(sums, pieces * n.in.channels * 2);
      of_norms += n.in.channels;
    }
    if (!mixes(n.what)) continue;
    packed += detail::packed_size(n);
    if (differences && detail::has_pairs(n, *differences)) {
      others += detail::pairs_bytes(n);
    } else if (differences && detail::has_tiles(n)) {
      packed += detail::tiles_size(n);
    }
    others += static_cast<index_t>(whole.runs[id].size() * sizeof(detail::position_run));
  }
  constexpr auto number = static_cast<index_t>(sizeof(T)),
                 wide = static_cast<index_t>(sizeof(double));
  index_t bytes =
      (packed + net.parameter_count() + 3 * of_norms) * number + 2 * of_norms * wide + others;
  for (const index_t part :
       {detail::product_of({rows, of_sample, number}), detail::product_of({rows, sums, wide}),
        detail::product_of({count, net.output().size(), number})}) {
    if (__builtin_add_overflow(bytes, part, &bytes)) return std::numeric_limits<index_t>::max();
  }
  return bytes;
}

template index_t pass_bytes<float>(const network&, index_t, std::optional<products>);
template index_t pass_bytes<double>(const network&, index_t, std::optional<products>);

}  // namespace zo::nn
