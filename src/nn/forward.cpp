// Values of a network, group by group; batch norms by statistics of the whole batch.
#include "zo/nn/forward.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

#include "evaluation.hpp"
#include "operations.hpp"
#include "zo/execution.hpp"
#include "zo/nn/element.hpp"

namespace zo::nn {

namespace detail {

template <class T>
void to_lanes(const shape& s, index_t count, const T* rows, T* in_lanes) {
  for (index_t g = 0; g < groups_of(count); ++g) {
    T* const group = in_lanes + g * s.size() * lanes;
    for (index_t k = 0; k < lanes; ++k) {
      const index_t sample = g * lanes + k;
      for (index_t c = 0; c < s.channels; ++c) {
        for (index_t p = 0; p < s.area(); ++p) {
          group[(p * s.channels + c) * lanes + k] =
              sample < count ? rows[sample * s.size() + c * s.area() + p] : T(0);
        }
      }
    }
  }
}

template <class T>
void from_lanes(const shape& s, index_t count, const T* in_lanes, T* rows) {
  for (index_t sample = 0; sample < count; ++sample) {
    const T* const group = in_lanes + sample / lanes * s.size() * lanes + sample % lanes;
    for (index_t c = 0; c < s.channels; ++c) {
      for (index_t p = 0; p < s.area(); ++p) {
        rows[sample * s.size() + c * s.area() + p] = group[(p * s.channels + c) * lanes];
      }
    }
  }
}

template void to_lanes(const shape&, index_t, const float*, float*);
template void to_lanes(const shape&, index_t, const double*, double*);
template void from_lanes(const shape&, index_t, const float*, float*);
template void from_lanes(const shape&, index_t, const double*, double*);

int check_threads(const char* who, int threads) {
  zo::detail::require(threads >= 1, who, ": threads must be at least 1, got ", threads);
  return std::min(threads, zo::detail::most_threads);
}

void check_batch(const char* who, const network& net, index_t count, norm_mode mode) {
  zo::detail::require(count >= 1, who, ": a batch needs at least one sample, got ", count);
  for (const node& n : net.nodes()) {
    if (n.what != operation::batch_norm || mode == norm_mode::eval) continue;
    zo::detail::require(count > 1 || n.in.area() > 1, who, ": batch norm ", n.name,
                        " sees one number a channel in a batch of 1 sample of ", text_of(n.in),
                        ", which has no variance; use more samples, or norm_mode::eval");
  }
}

}  // namespace detail

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

template <class T>
forward_pass<T>::forward_pass(const network& net)
    : net_(std::make_shared<const network>(net)),
      evaluation_(std::make_shared<detail::evaluation>(net)),
      values_(net.nodes().size()),
      packed_(net.nodes().size()),
      tiles_(net.nodes().size()),
      means_(net.nodes().size()),
      rests_(net.nodes().size()),
      variances_(net.nodes().size()),
      roots_(net.nodes().size()),
      factors_(net.nodes().size()) {}

template <class T>
std::span<const T> forward_pass<T>::parameter(index_t number) const {
  if (number < 0) return {};
  const view& v = net_->parameters()[at(number)];
  return std::span(parameters_).subspan(at(v.offset), at(v.size));
}

template <class T>
void forward_pass<T>::check_run() const {
  require(has_run_, who, ": there are no values before run");
}

template <class T>
void forward_pass<T>::check_norm(index_t node) const {
  check_run();
  require(node >= 0 && node < static_cast<index_t>(net_->nodes().size()) &&
              net_->nodes()[at(node)].what == operation::batch_norm,
          who, ": value ", node, " is no batch norm");
}

// A pass keeps what its last batch needs, and not what the largest one needed.
template <class T>
void forward_pass<T>::make_room(index_t count) {
  constexpr index_t most = std::numeric_limits<index_t>::max() / 8;
  for (const node& n : net_->nodes()) {
    require(detail::product_of({count, n.out.size(), detail::lanes}) < most, who, ": ", count,
            " samples of ", text_of(n.out), " are more numbers than fit into memory");
  }
  if (detail::groups_of(count) == detail::groups_of(count_)) return;
  for (detail::lane_vector<T>& v : values_) v = detail::lane_vector<T>();
  sums_ = std::vector<double>();  // an empty list would keep the memory
}

template <class T>
void forward_pass<T>::run(std::span<const T> parameters, std::span<const T> statistics,
                          std::span<const T> inputs, index_t count, norm_mode mode, int threads) {
  require(static_cast<index_t>(parameters.size()) == net_->parameter_count(), who,
          ": the network has ", net_->parameter_count(), " parameters, got ", parameters.size());
  require(static_cast<index_t>(statistics.size()) == net_->statistic_count(), who,
          ": the network has ", net_->statistic_count(), " statistics, got ", statistics.size());
  threads = detail::check_threads(who, threads);
  detail::check_batch(who, *net_, count, mode);
  const shape sample = net_->nodes().front().out;
  const index_t wanted = detail::product_of({count, sample.size()});
  require(static_cast<index_t>(inputs.size()) == wanted, who, ": ", count, " samples of ",
          text_of(sample), " need ", wanted, " numbers, got ", inputs.size());
  has_run_ = false;
  differences_.reset();
  ++runs_;
  make_room(count);
  count_ = count;
  mode_ = mode;
  parameters_.assign(parameters.begin(), parameters.end());
  const index_t groups = detail::groups_of(count);
  const auto size_of = [&](const shape& s) { return groups * s.size() * detail::lanes; };
  for (index_t id = 0; id < static_cast<index_t>(net_->nodes().size()); ++id) {
    const node& n = net_->nodes()[at(id)];
    if (evaluation_->absorbed[at(id)]) continue;
    detail::lane_vector<T>& out = values_[at(id)];
    fit(out, size_of(n.out));
    if (evaluation_->chains[at(id)].norm >= 0) {
      const detail::norm_chain& chain = evaluation_->chains[at(id)];
      if (chain.add >= 0 && chain.relu >= 0) fit(values_[at(chain.add)], size_of(n.out));
      normalize(id, statistics, threads);
      continue;
    }
    if (mixes(n.what)) {
      detail::pack_weights(n, parameter(n.weight).data(), packed_[at(id)]);
      convolve(id, threads);
      continue;
    }
    if (n.what == operation::input) {
      detail::to_lanes(sample, count, inputs.data(), out.data());
      continue;
    }
    const T* const y = n.second < 0 ? nullptr : data(n.second);
    each(threads, groups, [&](index_t g, int) {
      const index_t in = g * n.in.size() * detail::lanes;
      detail::evaluate(n, data(n.first) + in, y == nullptr ? y : y + in,
                       values_[at(id)].data() + g * n.out.size() * detail::lanes);
    });
  }
  fit(outputs_, count * net_->output().size());
  detail::from_lanes(net_->output(), count, values_.back().data(), outputs_.data());
  has_run_ = true;
}

template <class T>
void forward_pass<T>::convolve(index_t id, int threads) {
  const node& n = net_->nodes()[at(id)];
  const std::span<const T> bias = parameter(n.bias);
  const std::vector<detail::chunk>& chunks = evaluation_->chunks[at(id)];
  const auto pieces = static_cast<index_t>(chunks.size());
  // A batch norm needs the sums of these outputs, and they are near now.
  const index_t norm = mode_ == norm_mode::train ? evaluation_->norm_after[at(id)] : -1;
  const std::vector<T> zero(at(n.out.channels), T(0));
  const index_t room = n.out.channels * 2 * detail::lanes;
  summed_ = norm >= 0 ? id : -1;
  if (norm >= 0) sums_.assign(at(detail::groups_of(count_) * pieces * room), 0);
  each(threads, detail::groups_of(count_) * pieces, [&](index_t item, int) {
    const index_t group = item / pieces * detail::lanes;
    const detail::chunk& piece = chunks[at(item % pieces)];
    auto loop = detail::whole_convolution<T>(n, std::as_const(packed_[at(id)]).data());
    loop.runs = evaluation_->runs[at(id)].data() + piece.first_run;
    loop.count = piece.runs;
    loop.bias = bias.empty() ? nullptr : bias.data();
    loop.in = data(n.first) + group * n.in.size();
    loop.out = values_[at(id)].data() + group * n.out.size();
    detail::best_loops<T>().convolve(loop);
    if (norm < 0) return;
    const T* const made = loop.out + piece.first_position * n.out.channels * detail::lanes;
    detail::best_loops<T>().norm_sums({{piece.positions, n.out.channels},
                                       {},
                                       {made, n.out.channels},
                                       zero.data(),
                                       nullptr,
                                       sums_.data() + item * room});
  });
}

// Means and roots of the input of a batch norm over the batch: sums by item in a fixed order, first
// for the mean, then around it. The first are there already where a convolution made the input.
template <class T>
void forward_pass<T>::measure(index_t id, bool summed, int threads) {
  const node& n = net_->nodes()[at(id)];
  const index_t channels = n.in.channels, area = n.in.area(), groups = detail::groups_of(count_);
  const index_t room = channels * 2 * detail::lanes;  // sums of an item
  const double numbers = static_cast<double>(count_ * area);
  std::vector<T> centre(at(channels), T(0));
  std::vector<double>& means = means_[at(id)];
  std::vector<double>& variances = variances_[at(id)];
  std::vector<double>& rests = rests_[at(id)];
  variances.resize(at(channels));
  for (int round = 0; round < 2; ++round) {
    index_t pieces = pieces_of(area);
    if (round == 0 && summed) {
      pieces = static_cast<index_t>(evaluation_->chunks[at(n.first)].size());
    } else {
      sums_.assign(at(groups * pieces * room), 0);
      each(threads, groups * pieces, [&](index_t item, int) {
        const index_t first = item % pieces * positions_an_item;
        const index_t count = std::min(positions_an_item, area - first);
        const T* const x =
            data(n.first) + (item / pieces * n.in.size() + first * channels) * detail::lanes;
        detail::best_loops<T>().norm_sums({{count, channels},
                                           {},
                                           {x, channels},
                                           centre.data(),
                                           nullptr,
                                           sums_.data() + item * room});
      });
    }
    for (index_t c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      for (index_t item = 0; item < groups * pieces; ++item) {
        const index_t valid = std::min(detail::lanes, count_ - item / pieces * detail::lanes);
        const double* const from = sums_.data() + item * room + c * 2 * detail::lanes;
        for (index_t k = 0; k < valid; ++k) sum += from[k];
        for (index_t k = 0; k < valid; ++k) squares += from[detail::lanes + k];
      }
      const auto around = static_cast<double>(centre[at(c)]);
      means[at(c)] = around + sum / numbers;
      variances[at(c)] = (squares - sum * (sum / numbers)) / numbers;
      centre[at(c)] = static_cast<T>(means[at(c)]);
      rests[at(c)] = (around - static_cast<double>(centre[at(c)])) + sum / numbers;
    }
  }
  for (index_t c = 0; c < channels; ++c) {
    if (!detail::is_finite(variances[at(c)])) {
      const auto value = [&, rows = data(n.first)](index_t i) {
        const index_t sample = i / area, row = sample / detail::lanes * area + i % area;
        return static_cast<double>(
            rows[(row * channels + c) * detail::lanes + sample % detail::lanes]);
      };
      const auto found = detail::careful_moments(count_ * area, value, n.epsilon);
      means[at(c)] = found.mean;
      rests[at(c)] = found.mean - static_cast<double>(static_cast<T>(found.mean));
      variances[at(c)] = found.variance;
      roots_[at(id)][at(c)] = found.root;
      continue;
    }
    if (variances[at(c)] < 0) variances[at(c)] = 0;
    roots_[at(id)][at(c)] = std::sqrt(variances[at(c)] + n.epsilon);
  }
}

template <class T>
void forward_pass<T>::normalize(index_t id, std::span<const T> statistics, int threads) {
  const detail::norm_chain& chain = evaluation_->chains[at(id)];
  const node& n = net_->nodes()[at(chain.norm)];
  const index_t channels = n.in.channels;
  std::vector<double>& means = means_[at(chain.norm)];
  std::vector<double>& roots = roots_[at(chain.norm)];
  std::vector<double>& rests = rests_[at(chain.norm)];
  means.resize(at(channels));
  rests.assign(at(channels), 0);
  roots.resize(at(channels));
  if (mode_ == norm_mode::train) {
    measure(chain.norm, n.first == summed_, threads);
    summed_ = -1;
  } else {
    const index_t mean = net_->statistics()[at(n.running_mean)].offset;
    const index_t variance = net_->statistics()[at(n.running_var)].offset;
    for (index_t c = 0; c < channels; ++c) {
      const auto running = static_cast<double>(statistics[at(variance + c)]);
      require(!(running < 0), who, ": ", n.name, ".running_var is ", running, " in channel ", c,
              ", and a variance is not negative");
      means[at(c)] = static_cast<double>(statistics[at(mean + c)]);
      roots[at(c)] = std::sqrt(running + n.epsilon);
    }
  }
  norm_factors& factors = factors_[at(chain.norm)];
  const std::span<const T> gamma = parameter(n.weight);
  factors.mean.assign(means.begin(), means.end());
  factors.scale.resize(at(channels));
  const std::span<const T> beta = parameter(n.bias);
  factors.shift.resize(at(channels));
  for (index_t c = 0; c < channels; ++c) {
    const double scale = static_cast<double>(gamma[at(c)]) / roots[at(c)];
    factors.scale[at(c)] = static_cast<T>(scale);
    factors.shift[at(c)] = static_cast<T>(static_cast<double>(beta[at(c)]) - rests[at(c)] * scale);
  }
  const index_t area = n.in.area();
  const index_t pieces = pieces_of(area);
  each(threads, detail::groups_of(count_) * pieces, [&](index_t item, int) {
    const index_t first = item % pieces * positions_an_item;
    const index_t at_rows = (item / pieces * area + first) * channels * detail::lanes;
    const auto from = [&](index_t value) {
      return detail::source<T>{value < 0 ? nullptr : data(value) + at_rows, channels};
    };
    detail::best_loops<T>().norm(
        {{std::min(positions_an_item, area - first), channels},
         from(n.first),
         from(chain.other),
         factors.mean.data(),
         factors.scale.data(),
         factors.shift.data(),
         chain.relu >= 0,
         chain.add < 0 || chain.relu < 0 ? nullptr : values_[at(chain.add)].data() + at_rows,
         values_[at(id)].data() + at_rows});
  });
}

template <class T>
void forward_pass<T>::prepare_differences(products how) {
  check_run();
  require(how == products::exact || sizeof(T) == sizeof(float), who,
          ": products in bfloat16 are for networks of float");
  ++runs_;
  pairs_.resize(net_->nodes().size());
  for (std::size_t id = 0; id < net_->nodes().size(); ++id) {
    const node& n = net_->nodes()[id];
    if (!mixes(n.what)) continue;
    const std::span<const T> weight = parameter(n.weight);
    if (detail::has_tiles(n)) detail::pack_tiles(n, weight.data(), tiles_[id]);
    if constexpr (std::same_as<T, float>) {
      if (detail::has_pairs(n, how)) detail::pack_pairs(n, weight.data(), pairs_[id]);
    }
  }
  differences_ = how;
}

template <class T>
std::span<const T> forward_pass<T>::outputs() const {
  check_run();
  return outputs_;
}

template <class T>
std::span<const double> forward_pass<T>::means(index_t node) const {
  check_norm(node);
  return means_[at(node)];
}

template <class T>
std::span<const double> forward_pass<T>::roots(index_t node) const {
  check_norm(node);
  return roots_[at(node)];
}

template <class T>
std::span<const double> forward_pass<T>::variances(index_t node) const {
  check_norm(node);
  require(mode_ == norm_mode::train, who, ": variances are of a pass in train mode");
  return variances_[at(node)];
}

template <class T>
std::vector<T> forward_pass<T>::value(index_t node) const {
  check_run();
  require(node >= 0 && node < static_cast<index_t>(net_->nodes().size()), who, ": value ", node,
          " is not in 0 … ", net_->nodes().size() - 1);
  const shape& s = net_->nodes()[at(node)].out;
  std::vector<T> rows(at(count_ * s.size()));
  if (!values_[at(node)].empty()) {
    detail::from_lanes(s, count_, data(node), rows.data());
    return rows;
  }
  // A batch norm that was evaluated together with what follows it.
  const norm_factors& factors = factors_[at(node)];
  const index_t groups = detail::groups_of(count_);
  detail::lane_vector<T> made(at(groups * s.size() * detail::lanes));
  detail::best_loops<T>().norm({{groups * s.area(), s.channels},
                                {data(net_->nodes()[at(node)].first), s.channels},
                                {},
                                factors.mean.data(),
                                factors.scale.data(),
                                factors.shift.data(),
                                false,
                                nullptr,
                                made.data()});
  detail::from_lanes(s, count_, made.data(), rows.data());
  return rows;
}

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
    if (differences && detail::has_tiles(n)) packed += detail::tiles_size(n);
    if (differences && detail::has_pairs(n, *differences)) others += detail::pairs_bytes(n);
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

template <class T>
void forward_pass<T>::update_statistics(std::span<T> statistics, double momentum) const {
  check_run();
  require(mode_ == norm_mode::train, who, ": statistics are updated after a pass in train mode");
  require(static_cast<index_t>(statistics.size()) == net_->statistic_count(), who,
          ": the network has ", net_->statistic_count(), " statistics, got ", statistics.size());
  require(momentum >= 0 && momentum <= 1, who, ": momentum must be 0 … 1, got ", momentum);
  for (std::size_t id = 0; id < net_->nodes().size(); ++id) {
    const node& n = net_->nodes()[id];
    if (n.what != operation::batch_norm) continue;
    const double numbers = static_cast<double>(count_ * n.in.area());
    const double unbiased = numbers / (numbers - 1);
    const index_t mean = net_->statistics()[at(n.running_mean)].offset;
    const index_t var = net_->statistics()[at(n.running_var)].offset;
    for (index_t c = 0; c < n.in.channels; ++c) {
      const double variance = variances_[id][at(c)];
      T& m = statistics[at(mean + c)];
      T& v = statistics[at(var + c)];
      m = static_cast<T>((1 - momentum) * static_cast<double>(m) + momentum * means_[id][at(c)]);
      v = static_cast<T>((1 - momentum) * static_cast<double>(v) + momentum * unbiased * variance);
    }
  }
}

template class forward_pass<float>;
template class forward_pass<double>;

}  // namespace zo::nn
