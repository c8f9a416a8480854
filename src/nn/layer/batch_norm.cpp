// Batch normalization (Ioffe and Szegedy, ICML 2015), and what is evaluated with it.
#include "nn/layer/batch_norm.hpp"

#include <algorithm>
#include <cmath>

#include "nn/layer/list.hpp"
#include "nn/loop_by_place.hpp"
#include "zo/finite.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::batch_norm(index_t from, const std::string& name, double epsilon) {
  const shape in = at(from, name.c_str()).out;
  require(epsilon > 0 && std::isfinite(epsilon), "zo::nn::network: ", name,
          ": epsilon must be above 0 and finite, got ", epsilon);
  node n;
  n.what = operation::batch_norm;
  n.name = name;
  n.first = from;
  n.in = n.out = in;
  n.epsilon = epsilon;
  admit(n, {in.channels}, in.channels);
  n.weight = add_parameter(name + ".weight", {in.channels});
  n.bias = add_parameter(name + ".bias", {in.channels});
  n.running_mean = add_statistic(name + ".running_mean", in.channels);
  n.running_var = add_statistic(name + ".running_var", in.channels);
  return append(std::move(n));
}

namespace detail {

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// Positions that one item of a loop takes.
constexpr index_t positions_an_item = 64;
// Of every sample of a group: enough for a pivot.
constexpr index_t positions_of_pivot = 32;

index_t pieces_of(index_t positions) {
  return (positions + positions_an_item - 1) / positions_an_item;
}

}  // namespace

// ---- values ----

template <class T>
void batch_norm<T>::run(batch<T>& of, const pass_call<T>& call) {
  const index_t channels = node_.in.channels;
  for (std::vector<double>* one : {&base_.mean, &base_.rest, &base_.root}) {
    one->assign(at(channels), 0);
  }
  base_.variance.resize(of.mode == norm_mode::train ? at(channels) : 0);
  if (of.mode == norm_mode::train) {
    measure(of, call);
  } else {
    use_running(of, call.statistics);
  }
  const std::span<const T> gamma = of.parameter(node_.weight), beta = of.parameter(node_.bias);
  base_.centre.assign(base_.mean.begin(), base_.mean.end());
  base_.scale.resize(at(channels));
  base_.shift.resize(at(channels));
  for (std::size_t c = 0; c < at(channels); ++c) {
    const double scale = static_cast<double>(gamma[c]) / base_.root[c];
    base_.scale[c] = static_cast<T>(scale);
    base_.shift[c] = static_cast<T>(static_cast<double>(beta[c]) - base_.rest[c] * scale);
  }
  write_values(of, call.threads);
}

// Means and roots over the batch: sums by item in a fixed order, first for the mean, then around
// it. The first are there already where a product made the input.
template <class T>
void batch_norm<T>::measure(const batch<T>& of, const pass_call<T>& call) {
  const index_t channels = node_.in.channels;
  base_.centre.assign(at(channels), T(0));
  for (int round = 0; round < 2; ++round) {
    const bool known = round == 0 && of.how->sums_made[at(of.how->unit_of[at(unit_.last)])] != 0;
    if (!known) sum_values(of, call);
    take_sums(of, call);
  }
  for (index_t c = 0; c < channels; ++c) {
    double& variance = base_.variance[at(c)];
    if (!is_finite(variance)) {
      measure_carefully(of, c);
      continue;
    }
    if (variance < 0) variance = 0;
    base_.root[at(c)] = std::sqrt(variance + node_.epsilon);
  }
}

template <class T>
void batch_norm<T>::sum_values(const batch<T>& of, const pass_call<T>& call) const {
  const index_t channels = node_.in.channels, area = node_.in.area(), pieces = pieces_of(area);
  const index_t items = groups_of(of.samples) * pieces, room = channels * 2 * lanes;
  call.sums.pieces = pieces;
  fit(call.sums.numbers, items * room);
  loop_by_place(call.threads, items, [&](index_t item) {
    const index_t first = item % pieces * positions_an_item;
    const index_t count = std::min(positions_an_item, area - first);
    const T* const x =
        of.data(node_.first) + (item / pieces * node_.in.size() + first * channels) * lanes;
    double* const into = call.sums.numbers.data() + item * room;
    std::fill_n(into, room, 0.0);
    best_loops<T>().norm_sums(
        {{count, channels}, {}, {x, channels}, base_.centre.data(), nullptr, into});
  });
}

template <class T>
void batch_norm<T>::take_sums(const batch<T>& of, const pass_call<T>& call) {
  const product_sums& sums = call.sums;
  const index_t room = node_.in.channels * 2 * lanes;
  const index_t items = groups_of(of.samples) * sums.pieces;
  const double numbers = static_cast<double>(of.samples * node_.in.area());
  loop_by_place(call.threads, node_.in.channels, [&](index_t c) {
    double sum = 0, squares = 0;
    for (index_t item = 0; item < items; ++item) {
      const index_t valid = std::min(lanes, of.samples - item / sums.pieces * lanes);
      const double* const from = sums.numbers.data() + item * room + c * 2 * lanes;
      for (index_t k = 0; k < valid; ++k) sum += from[k];
      for (index_t k = 0; k < valid; ++k) squares += from[lanes + k];
    }
    const auto around = static_cast<double>(base_.centre[at(c)]);
    base_.mean[at(c)] = around + sum / numbers;
    base_.variance[at(c)] = (squares - sum * (sum / numbers)) / numbers;
    base_.centre[at(c)] = static_cast<T>(base_.mean[at(c)]);
    base_.rest[at(c)] = (around - static_cast<double>(base_.centre[at(c)])) + sum / numbers;
  });
}

template <class T>
void batch_norm<T>::measure_carefully(const batch<T>& of, index_t channel) {
  const index_t area = node_.in.area(), channels = node_.in.channels;
  const auto value = [&, rows = of.data(node_.first)](index_t i) {
    const index_t sample = i / area, row = sample / lanes * area + i % area;
    return static_cast<double>(rows[(row * channels + channel) * lanes + sample % lanes]);
  };
  const auto found = careful_moments(of.samples * area, value, node_.epsilon);
  base_.mean[at(channel)] = found.mean;
  base_.rest[at(channel)] = found.mean - static_cast<double>(static_cast<T>(found.mean));
  base_.variance[at(channel)] = found.variance;
  base_.root[at(channel)] = found.root;
}

template <class T>
void batch_norm<T>::use_running(const batch<T>& of, std::span<const T> statistics) {
  const std::vector<view>& all = of.net->statistics();
  const index_t first_mean = all[at(node_.running_mean)].offset;
  const index_t first_variance = all[at(node_.running_var)].offset;
  for (index_t c = 0; c < node_.in.channels; ++c) {
    const auto running = static_cast<double>(statistics[at(first_variance + c)]);
    require(!(running < 0), "zo::nn::forward_pass: ", node_.name, ".running_var is ", running,
            " in channel ", c, ", and a variance is not negative");
    base_.mean[at(c)] = static_cast<double>(statistics[at(first_mean + c)]);
    base_.root[at(c)] = std::sqrt(running + node_.epsilon);
  }
}

template <class T>
void batch_norm<T>::write_values(batch<T>& of, int threads) const {
  const index_t area = node_.in.area(), channels = node_.in.channels, pieces = pieces_of(area);
  loop_by_place(threads, groups_of(of.samples) * pieces, [&](index_t item) {
    const index_t first = item % pieces * positions_an_item;
    const index_t rows = (item / pieces * area + first) * channels * lanes;
    const auto from = [&](index_t value) {
      return source<T>{value < 0 ? nullptr : std::as_const(of).data(value) + rows, channels};
    };
    best_loops<T>().norm({{std::min(positions_an_item, area - first), channels},
                          from(node_.first),
                          from(unit_.sum >= 0 ? unit_.other : -1),
                          base_.centre.data(),
                          base_.scale.data(),
                          base_.shift.data(),
                          unit_.relu >= 0,
                          unit_.keeps_sum() ? of.data(unit_.sum) + rows : nullptr,
                          of.data(unit_.last) + rows});
  });
}

template <class T>
index_t batch_norm<T>::bytes(index_t /*count*/, std::optional<products> /*differences*/) const {
  return node_.in.channels *
         (3 * static_cast<index_t>(sizeof(T)) + 4 * static_cast<index_t>(sizeof(double)));
}

template <class T>
index_t batch_norm<T>::sums_of_group() const {
  return pieces_of(node_.in.area()) * node_.in.channels * 2 * lanes;
}

// ---- differences ----

template <class T>
void batch_norm<T>::start(const batch<T>& base, const view& parameter, index_t /*element*/, T step,
                          const lane_change<T>& out) const {
  const index_t area = node_.in.area(), rows = groups_of(base.samples) * area;
  const view& beta = base.net->parameters()[at(node_.bias)];
  if (parameter.offset == beta.offset) {
    std::fill_n(out.data, rows * lanes, step);
    return;
  }
  const T* const from = base.data(node_.first) + out.channel * lanes;
  const auto centre = static_cast<double>(base_.centre[at(out.channel)]);
  const double rest = base_.rest[at(out.channel)], root = base_.root[at(out.channel)];
  for (index_t p = 0; p < rows; ++p) {
    for (index_t k = 0; k < lanes; ++k) {
      const double centred =
          (static_cast<double>(from[p * node_.in.channels * lanes + k]) - centre) - rest;
      out.data[p * lanes + k] = static_cast<T>(static_cast<double>(step) * (centred / root));
    }
  }
}

template <class T>
void batch_norm<T>::follow(const question<T>& q) const {
  const index_t channels = node_.in.channels;
  // A difference of the sum alone, of which the norm knows nothing, is passed on as it is.
  const bool alone = q.main.how == extent::none;
  question<T> own = q;
  if (alone) std::swap(own.main, own.other);
  q.scratch->begin(scratch_bytes());
  const auto take = [&] { return q.scratch->template take<T>(channels); };
  const factors how{take(), take(), take(), take()};
  if (q.where.normed) {
    if (q.by_sample) measure_samples(q);
    find_factors(q, how);
  } else {
    std::fill_n(how.scale, channels, T(1));
    for (T* const none : {how.slope, how.shift, how.rest}) std::fill_n(none, channels, T(0));
  }
  lane_change<T> d = own.main;
  if (d.how == extent::channel && own.out.how == extent::full) {
    widen(node_.out, q.groups(), d, own.out.data);
    d = own.out;
  }
  const auto write = [this, own, d, how](index_t group, index_t first, index_t count) {
    write_differences(own, d, how, group, first, count);
  };
  if (q.left_to_do != nullptr) {
    *q.left_to_do = write;
    return;
  }
  for (index_t g = 0; g < q.groups(); ++g) write(g, 0, node_.in.area());
}

// Factors of the channels that `main` has, each at the place of its channel.
template <class T>
void batch_norm<T>::find_factors(const question<T>& q, const factors& out) const {
  const index_t channels = q.main.channels(node_.in.channels), offset = q.main.offset();
  if (q.out.how == extent::full && channels == 1) {
    // The other channels have nothing to scale.
    for (T* const none : {out.scale, out.slope, out.shift, out.rest}) {
      std::fill_n(none, node_.in.channels, T(0));
    }
  }
  if (!q.follows_batch) {
    std::copy_n(base_.scale.begin() + offset, channels, out.scale + offset);
    for (T* const none : {out.slope, out.shift, out.rest})
      std::fill_n(none + offset, channels, T(0));
    return;
  }
  change_sums<T>& sums = *q.sums_of_main;
  if (!q.where.sums_made) {
    sums.begin(q, q.main, unit_.main, base_);
    sums.set_pivots(std::min(node_.in.area(), positions_of_pivot));
    for (index_t g = 0; g < q.groups(); ++g) sums.add(g, 0, node_.in.area());
  }
  const std::span<const T> gamma = q.base.parameter(node_.weight);
  const auto numbers = static_cast<double>(q.samples * node_.in.area());
  for (index_t c = 0; c < channels; ++c) {
    const auto k = at(offset + c);
    const auto found = sums.of_channel(c);
    const norm_input input{static_cast<double>(base_.centre[k]), base_.rest[k], base_.root[k],
                           node_.epsilon, static_cast<double>(gamma[k])};
    const norm_response<T> answer =
        norm_response_of<T>(found.sum, found.squares, numbers, found.pivot, input,
                            [&] { return careful_response(q, offset + c, input); });
    out.scale[k] = answer.scale;
    out.slope[k] = answer.slope;
    out.shift[k] = answer.shift;
    out.rest[k] = answer.rest;
  }
}

template <class T>
norm_response<T> batch_norm<T>::careful_response(const question<T>& q, index_t channel,
                                                 const norm_input& input) const {
  const index_t area = node_.in.area(), channels = q.main.channels(node_.in.channels);
  const auto of = [&](const T* rows, index_t all, index_t c) {
    return [=](index_t i) {
      const index_t sample = i / area, row = sample / lanes * area + i % area;
      return static_cast<double>(rows[(row * all + c) * lanes + sample % lanes]);
    };
  };
  return careful_norm_response<T>(q.samples * area,
                                  of(q.base.data(node_.first), node_.in.channels, channel),
                                  of(q.main.data, channels, channels == 1 ? 0 : channel), input);
}

template <class T>
void batch_norm<T>::measure_samples(const question<T>& q) const {
  const index_t channels = node_.in.channels;
  norm_sums found{unit_.norm, std::vector<double>(at(q.samples * channels)),
                  std::vector<double>(at(q.samples * channels))};
  change_sums<T> sums;
  for (index_t g = 0; g < q.groups(); ++g) {
    sums.begin(q, q.main, unit_.main, base_);
    sums.add(g, 0, node_.in.area());
    for (index_t b = g * lanes; b < std::min(q.samples, (g + 1) * lanes); ++b) {
      for (index_t k = 0; k < q.main.channels(channels); ++k) {
        const auto of = sums.of_sample(b, k);
        const index_t c = q.main.offset() + k;
        found.of_difference[at(b * channels + c)] = of.sum;
        found.of_squares[at(b * channels + c)] = of.squares - 2 * base_.rest[at(c)] * of.sum;
      }
    }
  }
  q.sample_sums->push_back(std::move(found));
}

template <class T>
void batch_norm<T>::write_differences(const question<T>& q, const lane_change<T>& d,
                                      const factors& how, index_t group, index_t position,
                                      index_t positions) const {
  const index_t all = node_.in.channels, channels = d.channels(all), offset = d.offset();
  const index_t place = group * node_.in.area() + position;
  const auto base = [&](index_t value, index_t channel) {
    return source<T>{value < 0 ? nullptr : q.base.data(value) + (place * all + channel) * lanes,
                     all};
  };
  const auto write = [&](index_t first, index_t count, source<T> added) {
    const index_t own = (place * channels + first - offset) * lanes;
    best_loops<T>().norm_difference({{positions, count},
                                     {d.data + own, channels},
                                     base(node_.first, first),
                                     added,
                                     base(unit_.keeps_sum() ? unit_.sum : -1, first),
                                     base_.centre.data() + first,
                                     how.scale + first,
                                     how.slope + first,
                                     how.shift + first,
                                     how.rest + first,
                                     base_.scale.data() + first,
                                     base_.shift.data() + first,
                                     unit_.relu >= 0,
                                     q.out.data + own,
                                     channels});
  };
  if (q.other.how == extent::channel && channels == all && d.how == extent::full) {
    const index_t c = q.other.channel;
    write(0, c, {});
    write(c, 1, {q.other.data + place * lanes, 1});
    write(c + 1, all - c - 1, {});
  } else if (q.other.how == extent::none) {
    write(offset, channels, {});
  } else {
    write(offset, channels, {q.other.data + place * channels * lanes, channels});
  }
}

template <class T>
index_t batch_norm<T>::scratch_bytes() const {
  return 4 * scratch_memory::size_of<T>(node_.in.channels);
}

// ---- sums of differences ----

template <class T>
void change_sums<T>::begin(const question<T>& q, const lane_change<T>& d, index_t of,
                           const norm_base<T>& norm) {
  node_ = &q.base.at(of);
  x_ = q.base.data(of);
  centre_ = norm.centre.data();
  d_ = d;
  samples_ = q.samples;
  sums_.assign(at(node_->out.channels * 4 * lanes), 0);
  pivots_.assign(at(d_.channels(node_->out.channels)), T(0));
}

template <class T>
void change_sums<T>::set_pivots(index_t positions) {
  const index_t valid = std::min(samples_, lanes);
  add(0, 0, positions);
  for (index_t c = 0; c < static_cast<index_t>(pivots_.size()); ++c) {
    const double* const first = sums_of(0, c);
    double sum = 0;
    for (index_t k = 0; k < valid; ++k) sum += first[k];
    pivots_[at(c)] = static_cast<T>(sum / static_cast<double>(valid * positions));
  }
  std::ranges::fill(sums_, 0);
}

template <class T>
const double* change_sums<T>::sums_of(index_t group, index_t c) const {
  const bool partial = (group + 1) * lanes > samples_;
  return sums_.data() + ((partial ? node_->out.channels : 0) + c) * 2 * lanes;
}

template <class T>
void change_sums<T>::add(index_t group, index_t first, index_t positions) {
  const index_t all = node_->out.channels, channels = d_.channels(all), offset = d_.offset();
  const index_t place = group * node_->out.area() + first;
  best_loops<T>().norm_sums({{positions, channels},
                             {d_.data + place * channels * lanes, channels},
                             {x_ + (place * all + offset) * lanes, all},
                             centre_ + offset,
                             pivots_.data(),
                             sums_.data() + (sums_of(group, 0) - sums_.data())});
}

template <class T>
typename change_sums<T>::channel_sums change_sums<T>::of_channel(index_t c) const {
  const double* const whole = sums_.data() + c * 2 * lanes;
  const double* const partial = whole + node_->out.channels * 2 * lanes;
  const index_t last = samples_ % lanes;
  double sum = 0, squares = 0;
  for (index_t k = 0; k < lanes; ++k) sum += whole[k];
  for (index_t k = 0; k < lanes; ++k) squares += whole[lanes + k];
  for (index_t k = 0; k < last; ++k) sum += partial[k];
  for (index_t k = 0; k < last; ++k) squares += partial[lanes + k];
  return {sum, squares, static_cast<double>(pivots_[at(c)])};
}

template <class T>
typename change_sums<T>::channel_sums change_sums<T>::of_sample(index_t sample, index_t c) const {
  const double* const sum = sums_of(sample / lanes, c) + sample % lanes;
  return {sum[0], sum[lanes], static_cast<double>(pivots_[at(c)])};
}

template class change_sums<float>;
template class change_sums<double>;
template class batch_norm<float>;
template class batch_norm<double>;

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::batch_norm>::make(const network& net, const plan& how,
                                                             const unit& of) {
  return std::make_unique<batch_norm<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::batch_norm>::make(const network&,
                                                                          const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::batch_norm>::make(const network&,
                                                                           const plan&,
                                                                           const unit&);

}  // namespace detail
}  // namespace zo::nn
