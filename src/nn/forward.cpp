// Values of a network, group by group; batch norms by statistics of the whole batch.
#include "zo/nn/forward.hpp"

#include <algorithm>
#include <cmath>

#include "evaluation.hpp"
#include "operations.hpp"
#include "zo/execution.hpp"

namespace zo::nn {

namespace detail {

template <class T>
void to_lanes(const shape& s, index count, const T* rows, T* in_lanes) {
  for (index g = 0; g < groups_of(count); ++g) {
    T* const group = in_lanes + g * s.size() * lanes;
    for (index k = 0; k < lanes; ++k) {
      const index sample = g * lanes + k;
      for (index c = 0; c < s.channels; ++c) {
        for (index p = 0; p < s.area(); ++p) {
          group[(p * s.channels + c) * lanes + k] =
              sample < count ? rows[sample * s.size() + c * s.area() + p] : T(0);
        }
      }
    }
  }
}

template <class T>
void from_lanes(const shape& s, index count, const T* in_lanes, T* rows) {
  for (index sample = 0; sample < count; ++sample) {
    const T* const group = in_lanes + sample / lanes * s.size() * lanes + sample % lanes;
    for (index c = 0; c < s.channels; ++c) {
      for (index p = 0; p < s.area(); ++p) {
        rows[sample * s.size() + c * s.area() + p] = group[(p * s.channels + c) * lanes];
      }
    }
  }
}

template void to_lanes(const shape&, index, const float*, float*);
template void to_lanes(const shape&, index, const double*, double*);
template void from_lanes(const shape&, index, const float*, float*);
template void from_lanes(const shape&, index, const double*, double*);

}  // namespace detail

namespace {

using zo::detail::loop_body;
using zo::detail::require;
using zo::detail::run_loop;

template <class Body>
void each(int threads, index items, Body&& body) {
  run_loop(threads, items, loop_body(body));
}

std::size_t at(index i) { return static_cast<std::size_t>(i); }

// Positions of a batch norm that one item of a loop takes.
constexpr index positions_an_item = 64;

}  // namespace

template <class T>
forward_pass<T>::forward_pass(const network& net)
    : net_(net),
      evaluation_(std::make_shared<detail::evaluation>(net)),
      values_(net.nodes().size()),
      packed_(net.nodes().size()),
      tiles_(net.nodes().size()),
      means_(net.nodes().size()),
      roots_(net.nodes().size()),
      factors_(net.nodes().size()) {}

template <class T>
std::span<const T> forward_pass<T>::parameter(std::span<const T> parameters, index number) const {
  if (number < 0) return {};
  const view& v = net_.parameters()[at(number)];
  return parameters.subspan(at(v.offset), at(v.size));
}

template <class T>
void forward_pass<T>::run(std::span<const T> parameters, std::span<const T> statistics,
                          std::span<const T> inputs, index count, norm_mode mode, int threads) {
  require(static_cast<index>(parameters.size()) == net_.parameter_count(),
          "zo::nn::forward_pass: the network has ", net_.parameter_count(), " parameters, got ",
          parameters.size());
  require(static_cast<index>(statistics.size()) == net_.statistic_count(),
          "zo::nn::forward_pass: the network has ", net_.statistic_count(), " statistics, got ",
          statistics.size());
  const shape sample = net_.nodes().front().out;
  require(count >= 1 && static_cast<index>(inputs.size()) == count * sample.size(),
          "zo::nn::forward_pass: ", count, " samples of ", text_of(sample), " need ",
          count * sample.size(), " numbers, got ", inputs.size());
  count_ = count;
  mode_ = mode;
  const index groups = detail::groups_of(count);
  const auto size_of = [&](const shape& s) { return at(groups * s.size() * detail::lanes); };
  for (index id = 0; id < static_cast<index>(net_.nodes().size()); ++id) {
    const node& n = net_.nodes()[at(id)];
    if (evaluation_->absorbed[at(id)]) continue;
    detail::lane_vector<T>& out = values_[at(id)];
    out.resize(size_of(n.out));
    if (evaluation_->chains[at(id)].norm >= 0) {
      const detail::norm_chain& chain = evaluation_->chains[at(id)];
      if (chain.add >= 0) values_[at(chain.add)].resize(out.size());
      normalize(id, parameters, statistics, threads);
      continue;
    }
    if (n.weight >= 0) {
      const T* const weight = parameter(parameters, n.weight).data();
      detail::pack_weights(n, weight, packed_[at(id)]);
      if (detail::has_tiles(n)) detail::pack_tiles(n, weight, tiles_[at(id)]);
      convolve(id, parameter(parameters, n.bias), threads);
      continue;
    }
    if (n.what == operation::input) {
      detail::to_lanes(sample, count, inputs.data(), out.data());
      continue;
    }
    const T* const y = n.second < 0 ? nullptr : data(n.second);
    each(threads, groups, [&](index g, int) {
      const index in = g * n.in.size() * detail::lanes;
      detail::evaluate(n, data(n.first) + in, y == nullptr ? y : y + in,
                       values_[at(id)].data() + g * n.out.size() * detail::lanes);
    });
  }
  outputs_.resize(at(count * net_.output().size()));
  detail::from_lanes(net_.output(), count, values_.back().data(), outputs_.data());
}

template <class T>
void forward_pass<T>::convolve(index id, std::span<const T> bias, int threads) {
  const node& n = net_.nodes()[at(id)];
  const std::vector<detail::chunk>& chunks = evaluation_->chunks[at(id)];
  const auto pieces = static_cast<index>(chunks.size());
  // A batch norm needs the sums of these outputs, and they are near now.
  const index norm = mode_ == norm_mode::train ? evaluation_->norm_after[at(id)] : -1;
  const std::vector<T> zero(at(n.out.channels), T(0));
  const index room = n.out.channels * 2 * detail::lanes;
  summed_ = norm >= 0 ? id : -1;
  if (norm >= 0) sums_.assign(at(detail::groups_of(count_) * pieces * room), 0);
  each(threads, detail::groups_of(count_) * pieces, [&](index item, int) {
    const index group = item / pieces * detail::lanes;
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
                                       sums_.data() + item * room});
  });
}

// Means and roots of the input of a batch norm over the batch: sums by item in a fixed order, first
// for the mean, then around it. The first are there already where a convolution made the input.
template <class T>
void forward_pass<T>::measure(index id, bool summed, int threads) {
  const node& n = net_.nodes()[at(id)];
  const index channels = n.in.channels, area = n.in.area(), groups = detail::groups_of(count_);
  const index room = channels * 2 * detail::lanes;  // sums of an item
  const double numbers = static_cast<double>(count_ * area);
  std::vector<T> centre(at(channels), T(0));
  std::vector<double>& means = means_[at(id)];
  std::vector<double> second(at(channels));
  for (int round = 0; round < 2; ++round) {
    index pieces = (area + positions_an_item - 1) / positions_an_item;
    if (round == 0 && summed) {
      pieces = static_cast<index>(evaluation_->chunks[at(n.first)].size());
    } else {
      sums_.assign(at(groups * pieces * room), 0);
      each(threads, groups * pieces, [&](index item, int) {
        const index first = item % pieces * positions_an_item;
        const index count = std::min(positions_an_item, area - first);
        const T* const x =
            data(n.first) + (item / pieces * n.in.size() + first * channels) * detail::lanes;
        detail::best_loops<T>().norm_sums(
            {{count, channels}, {}, {x, channels}, centre.data(), sums_.data() + item * room});
      });
    }
    for (index c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      for (index item = 0; item < groups * pieces; ++item) {
        const index valid = std::min(detail::lanes, count_ - item / pieces * detail::lanes);
        const double* const from = sums_.data() + item * room + c * 2 * detail::lanes;
        for (index k = 0; k < valid; ++k) sum += from[k];
        for (index k = 0; k < valid; ++k) squares += from[detail::lanes + k];
      }
      means[at(c)] = static_cast<double>(centre[at(c)]) + sum / numbers;
      second[at(c)] = (squares - sum * (sum / numbers)) / numbers;
      centre[at(c)] = static_cast<T>(means[at(c)]);
    }
  }
  for (index c = 0; c < channels; ++c) {
    roots_[at(id)][at(c)] = std::sqrt(second[at(c)] + n.epsilon);
  }
}

template <class T>
void forward_pass<T>::normalize(index id, std::span<const T> parameters,
                                std::span<const T> statistics, int threads) {
  const detail::norm_chain& chain = evaluation_->chains[at(id)];
  const node& n = net_.nodes()[at(chain.norm)];
  const index channels = n.in.channels;
  std::vector<double>& means = means_[at(chain.norm)];
  std::vector<double>& roots = roots_[at(chain.norm)];
  means.resize(at(channels));
  roots.resize(at(channels));
  if (mode_ == norm_mode::train) {
    measure(chain.norm, n.first == summed_, threads);
    summed_ = -1;
  } else {
    const index mean = net_.statistics()[at(n.running_mean)].offset;
    const index variance = net_.statistics()[at(n.running_var)].offset;
    for (index c = 0; c < channels; ++c) {
      means[at(c)] = static_cast<double>(statistics[at(mean + c)]);
      roots[at(c)] = std::sqrt(static_cast<double>(statistics[at(variance + c)]) + n.epsilon);
    }
  }
  norm_factors& factors = factors_[at(chain.norm)];
  const std::span<const T> gamma = parameter(parameters, n.weight);
  factors.mean.assign(means.begin(), means.end());
  factors.scale.resize(at(channels));
  factors.shift.assign(parameter(parameters, n.bias).begin(), parameter(parameters, n.bias).end());
  for (index c = 0; c < channels; ++c) {
    factors.scale[at(c)] = static_cast<T>(static_cast<double>(gamma[at(c)]) / roots[at(c)]);
  }
  const index area = n.in.area();
  const index pieces = (area + positions_an_item - 1) / positions_an_item;
  each(threads, detail::groups_of(count_) * pieces, [&](index item, int) {
    const index first = item % pieces * positions_an_item;
    const index at_rows = (item / pieces * area + first) * channels * detail::lanes;
    const auto from = [&](index value) {
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
void forward_pass<T>::round_weights(std::span<const T> parameters) {
  pairs_.resize(net_.nodes().size());
  for (std::size_t id = 0; id < net_.nodes().size(); ++id) {
    const node& n = net_.nodes()[id];
    if (evaluation_->runs[id].empty()) continue;
    const std::span<const T> weight = parameter(parameters, n.weight);
    const std::vector<float> values(weight.begin(), weight.end());
    detail::pack_pairs(n, values.data(), pairs_[id]);
  }
}

template <class T>
std::vector<T> forward_pass<T>::value(index node) const {
  const shape& s = net_.nodes().at(at(node)).out;
  std::vector<T> rows(at(count_ * s.size()));
  if (!values_[at(node)].empty()) {
    detail::from_lanes(s, count_, data(node), rows.data());
    return rows;
  }
  // A batch norm that was evaluated together with what follows it.
  const norm_factors& factors = factors_[at(node)];
  const index groups = detail::groups_of(count_);
  detail::lane_vector<T> made(at(groups * s.size() * detail::lanes));
  detail::best_loops<T>().norm({{groups * s.area(), s.channels},
                                {data(net_.nodes()[at(node)].first), s.channels},
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
index pass_bytes(const network& net, index count) {
  const detail::evaluation whole(net);
  index numbers = 0;
  for (std::size_t id = 0; id < net.nodes().size(); ++id) {
    const detail::norm_chain& chain = whole.chains[id];
    const bool sum_kept = chain.add >= 0 && chain.relu >= 0;
    if (!whole.absorbed[id]) numbers += net.nodes()[id].out.size() * (sum_kept ? 2 : 1);
  }
  return (numbers * detail::groups_of(count) * detail::lanes + net.parameter_count()) *
         static_cast<index>(sizeof(T));
}

template index pass_bytes<float>(const network&, index);
template index pass_bytes<double>(const network&, index);

template <class T>
void forward_pass<T>::update_statistics(std::span<T> statistics, double momentum) const {
  require(mode_ == norm_mode::train && count_ > 0,
          "zo::nn::forward_pass: statistics are updated after a pass in train mode");
  for (std::size_t id = 0; id < net_.nodes().size(); ++id) {
    const node& n = net_.nodes()[id];
    if (n.what != operation::batch_norm) continue;
    const double numbers = static_cast<double>(count_ * n.in.area());
    const double unbiased = numbers > 1 ? numbers / (numbers - 1) : 1.0;
    const index mean = net_.statistics()[at(n.running_mean)].offset;
    const index var = net_.statistics()[at(n.running_var)].offset;
    for (index c = 0; c < n.in.channels; ++c) {
      const double variance = roots_[id][at(c)] * roots_[id][at(c)] - n.epsilon;
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
