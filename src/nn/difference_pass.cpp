// Differences of values, operation by operation, group by group.
#include "zo/nn/difference_pass.hpp"

#include <algorithm>
#include <concepts>
#include <limits>
#include <utility>

#include "evaluation.hpp"
#include "operations.hpp"
#include "pass_values.hpp"
#include "zo/nn/layer/batch_norm.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::nn {

namespace {

using detail::fit;
using detail::lanes;
using zo::detail::require;

// Of every sample of a group: enough for a pivot.
constexpr index_t positions_of_pivot = 32;

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

}  // namespace

template <class T>
class difference_pass<T>::state {
 public:
  // Through the base pass's own pointer, so that an assignment to it is seen.
  explicit state(const std::unique_ptr<detail::pass_values<T>>& base)
      : base_(base),
        net_(base->net),
        changes_(net_->nodes().size()),
        sums_(net_->nodes().size()),
        pivots_(net_->nodes().size()) {
    begin();
  }

  void begin();
  std::span<const T> of_parameter(index_t coordinate, T step);
  std::span<const T> from(index_t node, std::span<const T> moved, coupling how);
  std::span<const norm_sums> sums() const { return sample_sums_; }
  index_t multiplications() const { return multiplications_; }

 private:
  enum class extent { none, channel, full };

  // The difference of one value: nothing, one channel of every sample, or all of it.
  struct change {
    extent how = extent::none;
    index_t channel = 0;
    detail::lane_vector<T> data{};  // [group][position][channel, or the only one][lane]
  };

  void start(const view& moved, index_t element, T step, change& out);
  std::span<const T> finish(index_t from);
  void follow(index_t id);
  void follow_chain(index_t id);
  void convolve(index_t id, const change& in, index_t group, change& out, bool sums);
  void measure(index_t norm, const change& d, index_t group, index_t first, index_t positions);
  void measure_samples(index_t norm, const change& d);
  void set_pivots(index_t norm, const change& d, index_t positions);
  void factors_of(index_t norm, const change& d);
  detail::norm_response<T> careful_response(index_t norm, const change& d, index_t channel,
                                            const detail::norm_input& input) const;
  bool follows_batch() const;
  void widen(const shape& s, change& c);
  void reserve(change& c, extent how, index_t channel, const shape& s);
  void release(index_t id, index_t user);
  void clear();

  const std::unique_ptr<detail::pass_values<T>>& base_;
  std::shared_ptr<const network> net_;           // the base pass's, which may be copied over
  std::uint64_t run_ = 0;                        // of the base pass
  std::vector<change> changes_;                  // by node
  std::vector<detail::lane_vector<T>> spare_;    // memory of differences no longer needed
  std::vector<std::vector<double>> sums_;        // by batch norm, of the input's difference
  std::vector<std::vector<T>> pivots_;           // by batch norm, near the mean of that difference
  std::vector<T> scale_, slope_, shift_, rest_;  // of the batch norm at hand, by channel
  std::vector<T> outputs_;
  std::vector<norm_sums> sample_sums_;
  index_t samples_ = 0;  // of the last question
  coupling how_ = coupling::batch;
  std::vector<detail::bfloat16_pair> rounded_;  // differences of a group
  detail::lane_vector<T> transformed_;          // rows of them
  index_t multiplications_ = 0;
};

template <class T>
void difference_pass<T>::state::begin() {
  require(base_ != nullptr && base_->has_run && base_->differences.has_value(),
          "zo::nn::difference_pass: run and prepare_differences of the base pass come first");
  run_ = base_->runs;
  multiplications_ = 0;
}

// What an earlier question left, were it broken off.
template <class T>
void difference_pass<T>::state::clear() {
  require(base_ != nullptr && run_ == base_->runs && net_ == base_->net,
          "zo::nn::difference_pass: the base pass has run since; its prepare_differences and begin "
          "come before the next question");
  for (change& c : changes_) {
    c.how = extent::none;
    if (c.data.capacity() > 0) spare_.push_back(std::exchange(c.data, {}));
  }
  for (std::vector<double>& sums : sums_) sums.clear();
  sample_sums_.clear();
}

template <class T>
std::span<const T> difference_pass<T>::state::of_parameter(index_t coordinate, T step) {
  clear();
  const view& moved = net_->parameter_of(coordinate);
  samples_ = base_->samples;
  how_ = coupling::batch;
  start(moved, coordinate - moved.offset, step, changes_[at(moved.node)]);
  return finish(moved.node);
}

template <class T>
std::span<const T> difference_pass<T>::state::from(index_t node, std::span<const T> moved,
                                                   coupling how) {
  require(node >= 0 && node < static_cast<index_t>(net_->nodes().size()),
          "zo::nn::difference_pass: value ", node, " is not in 0 … ", net_->nodes().size() - 1);
  const shape& s = net_->nodes()[at(node)].out;
  const index_t count = static_cast<index_t>(moved.size()) / s.size();
  require(count * s.size() == static_cast<index_t>(moved.size()) &&
              (count == base_->samples ||
               ((how == coupling::frozen || base_->mode == norm_mode::eval) && count >= 1 &&
                count < base_->samples)),
          "zo::nn::difference_pass: a change of value ", node, " has ", s.size(),
          " numbers for each of ", base_->samples,
          " samples (or fewer samples, where statistics are frozen), got ", moved.size());
  clear();
  samples_ = count;
  how_ = how;
  change& c = changes_[at(node)];
  reserve(c, extent::full, 0, s);
  detail::to_lanes(s, count, moved.data(), c.data.data());
  return finish(node);
}

// Room for a difference, from memory that is no longer needed.
template <class T>
void difference_pass<T>::state::reserve(change& c, extent how, index_t channel, const shape& s) {
  if (c.data.capacity() == 0 && !spare_.empty()) {
    c.data = std::move(spare_.back());
    spare_.pop_back();
  }
  c.how = how;
  c.channel = channel;
  const index_t numbers = how == extent::channel ? s.area() : s.size();
  fit(c.data, detail::groups_of(samples_) * numbers * lanes);
}

template <class T>
void difference_pass<T>::state::release(index_t id, index_t user) {
  if (id < 0 || base_->together->last_use[at(id)] > user) return;
  change& c = changes_[at(id)];
  c.how = extent::none;
  if (c.data.capacity() > 0) spare_.push_back(std::exchange(c.data, {}));
}

// Everything after node `from`, of which the difference is known; then the outputs.
template <class T>
std::span<const T> difference_pass<T>::state::finish(index_t from) {
  const detail::evaluation& whole = *base_->together;
  const auto nodes = static_cast<index_t>(net_->nodes().size());
  for (index_t id = from + 1; id < nodes; ++id) {
    if (whole.absorbed[at(id)]) continue;
    const detail::norm_chain& chain = whole.chains[at(id)];
    const node& n = net_->nodes()[at(id)];
    if (chain.norm >= 0) {
      follow_chain(id);
      for (const index_t used : {net_->nodes()[at(chain.norm)].first, chain.other})
        release(used, id);
      for (const index_t inner : {chain.norm, chain.add}) {
        if (inner >= 0 && inner != id) release(inner, id);
      }
    } else {
      follow(id);
      for (const index_t used : {n.first, n.second}) release(used, id);
    }
  }
  const shape& s = net_->output();
  change& last = changes_.back();
  outputs_.assign(at(samples_ * s.size()), T(0));
  if (last.how != extent::none) {
    widen(s, last);
    detail::from_lanes(s, samples_, last.data.data(), outputs_.data());
  }
  release(nodes - 1, nodes);
  return outputs_;
}

// The layer's own outputs: linear in its parameters.
template <class T>
void difference_pass<T>::state::start(const view& moved, index_t element, T step, change& out) {
  const node& n = net_->nodes()[at(moved.node)];
  const index_t area = n.out.area(), groups = detail::groups_of(samples_);
  const bool is_bias = n.bias >= 0 && moved.offset == net_->parameters()[at(n.bias)].offset;
  const index_t per_channel = is_bias ? 1 : moved.per_channel();
  reserve(out, extent::channel, element / per_channel, n.out);
  if (is_bias) {
    std::ranges::fill(out.data, step);
    return;
  }
  const index_t within = element % per_channel, taps = per_channel / n.in.channels;
  for (index_t g = 0; g < groups; ++g) {
    T* const to = out.data.data() + g * area * lanes;
    const T* const x = base_->data(n.first) + g * n.in.size() * lanes;
    if (n.what == operation::batch_norm) {
      const T* const from = x + out.channel * lanes;
      const auto mean = static_cast<double>(base_->factors[at(moved.node)].mean[at(out.channel)]);
      const double rest = base_->rests[at(moved.node)][at(out.channel)];
      const double root = base_->roots[at(moved.node)][at(out.channel)];
      for (index_t p = 0; p < area; ++p) {
        for (index_t k = 0; k < lanes; ++k) {
          const double centred =
              (static_cast<double>(from[p * n.in.channels * lanes + k]) - mean) - rest;
          to[p * lanes + k] = static_cast<T>(static_cast<double>(step) * (centred / root));
        }
      }
      continue;
    }
    const T* const from = x + within / taps * lanes;
    const auto write = [&](index_t position, index_t in) {
      const T* const row = from + in * n.in.channels * lanes;
      for (index_t k = 0; k < lanes; ++k) to[position * lanes + k] = step * row[k];
    };
    if (n.what == operation::linear) {
      write(0, within % taps);
      continue;
    }
    const index_t kx = within % n.kernel, ky = within % taps / n.kernel;
    for (index_t y = 0; y < n.out.height; ++y) {
      const index_t row = y * n.stride + ky - n.padding;
      for (index_t c = 0; c < n.out.width; ++c) {
        const index_t column = c * n.stride + kx - n.padding;
        const bool inside = row >= 0 && row < n.in.height && column >= 0 && column < n.in.width;
        if (inside) {
          write(y * n.out.width + c, row * n.in.width + column);
        } else {
          std::fill_n(to + (y * n.out.width + c) * lanes, lanes, T(0));
        }
      }
    }
  }
}

// Where samples are taken together, their first positions say what the difference is about. Its
// sums are of what is left: where it is nearly constant they would cancel otherwise.
template <class T>
void difference_pass<T>::state::set_pivots(index_t norm, const change& d, index_t positions) {
  const node& n = net_->nodes()[at(norm)];
  const index_t channels = d.how == extent::channel ? 1 : n.in.channels;
  const index_t valid = std::min(samples_, lanes);
  std::vector<double>& sums = sums_[at(norm)];
  pivots_[at(norm)].assign(at(channels), T(0));
  measure(norm, d, 0, 0, positions);
  const double* const first = sums.data() + (valid < lanes ? n.in.channels * 2 * lanes : 0);
  for (index_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (index_t k = 0; k < valid; ++k) sum += first[c * 2 * lanes + k];
    pivots_[at(norm)][at(c)] = static_cast<T>(sum / static_cast<double>(valid * positions));
  }
  std::ranges::fill(sums, 0);
}

// Adds the sums that a batch norm needs of its input's difference: whole groups to the first half
// of its sums, the last group to the second where it is not full.
template <class T>
void difference_pass<T>::state::measure(index_t norm, const change& d, index_t group, index_t first,
                                        index_t positions) {
  const node& n = net_->nodes()[at(norm)];
  const bool single = d.how == extent::channel;
  const index_t channels = single ? 1 : n.in.channels, offset = single ? d.channel : 0;
  const index_t room = n.in.channels * 2 * lanes;
  const bool partial = (group + 1) * lanes > samples_;
  const index_t place = group * n.in.area() + first;
  detail::best_loops<T>().norm_sums(
      {{positions, channels},
       {d.data.data() + place * channels * lanes, channels},
       {base_->data(n.first) + (place * n.in.channels + offset) * lanes, n.in.channels},
       base_->factors[at(norm)].mean.data() + offset,
       pivots_[at(norm)].data(),
       sums_[at(norm)].data() + (partial ? room : 0)});
}

// The same for each sample. Differences that begin as all channels stay all channels.
template <class T>
void difference_pass<T>::state::measure_samples(index_t norm, const change& d) {
  const node& n = net_->nodes()[at(norm)];
  const index_t channels = n.in.channels;
  norm_sums found{norm, std::vector<double>(at(samples_ * channels)),
                  std::vector<double>(at(samples_ * channels))};
  pivots_[at(norm)].assign(at(channels), T(0));
  for (index_t g = 0; g < detail::groups_of(samples_); ++g) {
    sums_[at(norm)].assign(at(channels * 4 * lanes), 0);
    measure(norm, d, g, 0, n.in.area());
    // The two halves are for whole groups and for the last one; only one has anything now.
    const bool partial = (g + 1) * lanes > samples_;
    const double* const all = sums_[at(norm)].data() + (partial ? channels * 2 * lanes : 0);
    for (index_t b = g * lanes; b < std::min(samples_, (g + 1) * lanes); ++b) {
      for (index_t c = 0; c < channels; ++c) {
        const double* const sum = all + c * 2 * lanes + b % lanes;
        const auto to = at(b * channels + c);
        found.of_difference[to] = sum[0];
        found.of_squares[to] = sum[lanes] - 2 * base_->rests[at(norm)][at(c)] * sum[0];
      }
    }
  }
  sums_[at(norm)].clear();
  sample_sums_.push_back(std::move(found));
}

template <class T>
bool difference_pass<T>::state::follows_batch() const {
  return how_ == coupling::batch && base_->mode == norm_mode::train;
}

template <class T>
void difference_pass<T>::state::factors_of(index_t norm, const change& d) {
  const node& n = net_->nodes()[at(norm)];
  const index_t channels = d.how == extent::channel ? 1 : n.in.channels;
  const index_t offset = d.how == extent::channel ? d.channel : 0;
  const std::span<const T> gamma = base_->parameter(n.weight);
  scale_.resize(at(channels));
  slope_.assign(at(channels), T(0));
  shift_.assign(at(channels), T(0));
  rest_.assign(at(channels), T(0));
  if (!follows_batch()) {
    std::copy_n(base_->factors[at(norm)].scale.begin() + offset, channels, scale_.begin());
    return;
  }
  const auto numbers = static_cast<double>(samples_ * n.in.area());
  const index_t room = n.in.channels * 2 * lanes;
  const index_t last = samples_ % lanes;
  for (index_t c = 0; c < channels; ++c) {
    const double* const whole = sums_[at(norm)].data() + c * 2 * lanes;
    double sum = 0, squares = 0;
    for (index_t k = 0; k < lanes; ++k) sum += whole[k];
    for (index_t k = 0; k < lanes; ++k) squares += whole[lanes + k];
    for (index_t k = 0; k < last; ++k) sum += whole[room + k];
    for (index_t k = 0; k < last; ++k) squares += whole[room + lanes + k];
    const auto k = at(offset + c);
    const detail::norm_input input{static_cast<double>(base_->factors[at(norm)].mean[k]),
                                   base_->rests[at(norm)][k], base_->roots[at(norm)][k], n.epsilon,
                                   static_cast<double>(gamma[k])};
    const detail::norm_response<T> found = detail::norm_response_of<T>(
        sum, squares, numbers, static_cast<double>(pivots_[at(norm)][at(c)]), input,
        [&] { return careful_response(norm, d, offset + c, input); });
    scale_[at(c)] = found.scale;
    slope_[at(c)] = found.slope;
    shift_[at(c)] = found.shift;
    rest_[at(c)] = found.rest;
  }
}

template <class T>
detail::norm_response<T> difference_pass<T>::state::careful_response(
    index_t norm, const change& d, index_t channel, const detail::norm_input& input) const {
  const node& n = net_->nodes()[at(norm)];
  const index_t area = n.in.area(), channels = d.how == extent::channel ? 1 : n.in.channels;
  const auto of = [&](const T* rows, index_t all, index_t c) {
    return [=](index_t i) {
      const index_t sample = i / area, row = sample / lanes * area + i % area;
      return static_cast<double>(rows[(row * all + c) * lanes + sample % lanes]);
    };
  };
  return detail::careful_norm_response<T>(
      samples_ * area, of(base_->data(n.first), n.in.channels, channel),
      of(d.data.data(), channels, channels == 1 ? 0 : channel), input);
}

template <class T>
void difference_pass<T>::state::follow_chain(index_t id) {
  const detail::norm_chain& chain = base_->together->chains[at(id)];
  const node& n = net_->nodes()[at(chain.norm)];
  const change none;
  const bool at_norm = chain.norm != id && changes_[at(chain.norm)].how != extent::none;
  const bool at_sum =
      chain.add >= 0 && chain.add != id && changes_[at(chain.add)].how != extent::none;
  const change* other = chain.other < 0 || at_sum ? &none : &changes_[at(chain.other)];
  const index_t source = at_sum ? chain.add : at_norm ? chain.norm : n.first;
  change& d = changes_[at(source)];
  if (d.how == extent::none && other->how == extent::none) return;
  const index_t groups = detail::groups_of(samples_), area = n.in.area();

  // The difference of the norm's output is known where the change began there.
  bool plain = at_norm || at_sum;
  change made;  // stands for d where d has another extent than the result
  change* in = &d;
  if (d.how == extent::none) {
    reserve(made, other->how, other->channel, n.out);
    std::ranges::fill(made.data, T(0));
    in = &made;
    plain = true;
  }
  if (!plain && how_ == coupling::frozen) measure_samples(chain.norm, d);
  if (!plain && follows_batch() && sums_[at(chain.norm)].empty()) {
    sums_[at(chain.norm)].assign(at(n.in.channels * 4 * lanes), 0);
    set_pivots(chain.norm, d, std::min(area, positions_of_pivot));
    for (index_t g = 0; g < groups; ++g) measure(chain.norm, d, g, 0, area);
  }
  if (plain) {
    scale_.assign(at(n.in.channels), T(1));
    slope_.assign(at(n.in.channels), T(0));
    shift_.assign(at(n.in.channels), T(0));
    rest_.assign(at(n.in.channels), T(0));
  } else {
    factors_of(chain.norm, d);
    sums_[at(chain.norm)].clear();
  }
  const bool widens = in->how == extent::channel && other->how != extent::none &&
                      !(other->how == extent::channel && other->channel == in->channel);
  if (widens) {
    // Only the factors of one channel are known; the others have nothing to scale.
    const index_t channel = in->channel;
    if (in == &d) {
      made = std::exchange(d, {});
      in = &made;
    }
    widen(n.out, *in);
    const auto spread = [&](std::vector<T>& factors) {
      const T one = factors[plain ? at(channel) : 0];
      factors.assign(at(n.in.channels), T(0));
      factors[at(channel)] = one;
    };
    spread(scale_), spread(slope_), spread(shift_), spread(rest_);
  }
  const bool single = in->how == extent::channel;
  const index_t channels = single ? 1 : n.in.channels, offset = single ? in->channel : 0;

  change& out = changes_[at(id)];
  const bool read_twice = chain.other == source;  // a norm's own input is added to its output
  const bool in_place = in == &made || (base_->together->last_use[at(source)] <= id && !read_twice);
  const extent how = in->how;
  const index_t moved = in->channel;
  if (in_place) {
    out.data = std::exchange(in->data, {});
    in->how = extent::none;
    out.how = how;
    out.channel = moved;
  } else {
    reserve(out, how, moved, n.out);
  }
  const T* const from = in_place ? out.data.data() : in->data.data();
  const auto& factors = base_->factors[at(chain.norm)];
  const index_t of_one = single && !plain ? offset : 0;  // factors_of made those of one channel
  for (index_t g = 0; g < groups; ++g) {
    const index_t place = g * area;
    const auto base = [&](index_t value, index_t channel) {
      return detail::source<T>{
          value < 0 ? nullptr : base_->data(value) + (place * n.in.channels + channel) * lanes,
          n.in.channels};
    };
    const auto run = [&](index_t first, index_t count, detail::source<T> added) {
      detail::best_loops<T>().norm_difference(
          {{area, count},
           {from + (place * channels + first - offset) * lanes, channels},
           base(n.first, first),
           added,
           base(chain.add >= 0 && chain.relu >= 0 ? chain.add : -1, first),
           factors.mean.data() + first,
           scale_.data() + first - of_one,
           slope_.data() + first - of_one,
           shift_.data() + first - of_one,
           rest_.data() + first - of_one,
           factors.scale.data() + first,
           factors.shift.data() + first,
           chain.relu >= 0,
           out.data.data() + (place * channels + first - offset) * lanes,
           channels});
    };
    if (other->how == extent::channel && !single) {
      const index_t c = other->channel;
      run(0, c, {});
      run(c, 1, {other->data.data() + place * lanes, 1});
      run(c + 1, n.in.channels - c - 1, {});
    } else if (other->how == extent::none) {
      run(offset, channels, {});
    } else {
      run(offset, channels, {other->data.data() + place * channels * lanes, channels});
    }
  }
}

// One group, chunk by chunk, so that what a batch norm needs of the outputs is summed while they
// are near.
template <class T>
void difference_pass<T>::state::convolve(index_t id, const change& in, index_t group, change& out,
                                         bool sums) {
  const node& n = net_->nodes()[at(id)];
  const bool single = in.how == extent::channel;
  const T* const d = in.data.data() + group * (single ? n.in.area() : n.in.size()) * lanes;
  T* const to = out.data.data() + group * n.out.size() * lanes;
  const auto each_chunk = [&](const auto& run) {
    for (const detail::chunk& piece : base_->together->chunks[at(id)]) {
      run(piece);
      if (!sums) continue;
      if (group == 0 && piece.first_position == 0) {
        set_pivots(base_->together->norm_after[at(id)], out, piece.positions);
      }
      measure(base_->together->norm_after[at(id)], out, group, piece.first_position,
              piece.positions);
    }
  };
  const detail::position_run* const runs = base_->together->runs[at(id)].data();
  if constexpr (std::same_as<T, float>) {
    if (!single && detail::has_pairs(n, *base_->differences)) {
      fit(rounded_, n.in.area() * detail::pairs_of(n.in.channels) * lanes);
      detail::best_pair_loops().round(n.in.area(), n.in.channels, d, rounded_.data());
      auto loop = detail::whole_convolution<T>(n, base_->pairs[at(id)].data());
      loop.in_channels = loop.all_channels = detail::pairs_of(n.in.channels);
      loop.in = rounded_.data();
      loop.out = to;
      each_chunk([&](const detail::chunk& piece) {
        loop.runs = runs + piece.first_run;
        loop.count = piece.runs;
        detail::best_pair_loops().convolve(loop);
      });
      return;
    }
  }
  if (!single && detail::has_tiles(n)) {
    const index_t width = n.in.width;
    fit(transformed_, detail::transformed_size(n));
    each_chunk([&](const detail::chunk& piece) {
      detail::best_loops<T>().convolve_tiles(
          {piece.first_position / width, piece.positions / width, width, n.in.height, n.in.channels,
           n.out.channels, base_->tiles[at(id)].data(), d, transformed_.data(), to});
    });
    return;
  }
  auto loop = detail::whole_convolution<T>(n, base_->packed[at(id)].data());
  if (single) {
    loop.in_channels = 1;
    loop.weight_step = n.in.channels * detail::block_channels;
    loop.weights += in.channel * detail::block_channels;
  }
  loop.in = d;
  loop.out = to;
  each_chunk([&](const detail::chunk& piece) {
    loop.runs = runs + piece.first_run;
    loop.count = piece.runs;
    detail::best_loops<T>().convolve(loop);
  });
}

template <class T>
void difference_pass<T>::state::follow(index_t id) {
  const node& n = net_->nodes()[at(id)];
  change& first = changes_[at(n.first)];
  if (n.what == operation::add) {
    change& second = changes_[at(n.second)];
    if (first.how == extent::none && second.how == extent::none) return;
    const bool same =
        first.how == second.how && (first.how == extent::full || first.channel == second.channel);
    if (!same) {
      for (change* c : {&first, &second}) {
        if (c->how == extent::none) {
          reserve(*c, extent::full, 0, n.in);
          std::ranges::fill(c->data, T(0));
        }
        widen(n.in, *c);
      }
    }
  }
  if (first.how == extent::none) return;
  const bool single = first.how == extent::channel;
  const bool multiplies = mixes(n.what);
  change& out = changes_[at(id)];
  index_t channel = first.channel;
  if (n.what == operation::subsample) channel += (n.out.channels - n.in.channels) / 2;
  reserve(out, multiplies ? extent::full : first.how, channel, n.out);
  const index_t norm = base_->together->norm_after[at(id)];
  const bool sums = multiplies && norm >= 0 && follows_batch();
  if (sums) sums_[at(norm)].assign(at(n.out.channels * 4 * lanes), 0);
  const index_t in_size = (single ? n.in.area() : n.in.size()) * lanes;
  const index_t out_size = (out.how == extent::channel ? n.out.area() : n.out.size()) * lanes;
  for (index_t g = 0; g < detail::groups_of(samples_); ++g) {
    const T* const d = first.data.data() + g * in_size;
    T* const to = out.data.data() + g * out_size;
    const T* const x = base_->data(n.first) + (g * n.in.size() + (single ? channel : 0)) * lanes;
    switch (n.what) {
      case operation::convolution:
      case operation::linear:
        convolve(id, first, g, out, sums);
        break;
      case operation::relu:
        for (index_t p = 0; p < n.in.area(); ++p) {
          const index_t row = (single ? 1 : n.in.channels) * lanes;
          const T* const before = x + p * n.in.channels * lanes;
          for (index_t i = 0; i < row; ++i) {
            to[p * row + i] = detail::relu_difference(before[i], d[p * row + i]);
          }
        }
        break;
      case operation::max_pool: {
        const index_t place = single ? channel : 0, step = single ? 1 : n.in.channels;
        detail::best_loops<T>().max_difference(
            {n.out.width,
             n.out.height,
             n.kernel,
             n.stride,
             n.in.width,
             step,
             {d, step},
             {x, n.in.channels},
             {base_->data(id) + (g * n.out.size() + place) * lanes, n.in.channels},
             to});
        break;
      }
      case operation::average_pool:
      case operation::global_average_pool:
      case operation::add:
      case operation::subsample:
        detail::evaluate_linear(
            n, single, d, n.second < 0 ? nullptr : changes_[at(n.second)].data.data() + g * in_size,
            to);
        break;
      case operation::input:
      case operation::batch_norm:
        break;  // has no difference of its own; follow_chain
    }
  }
  if (multiplies) {
    const index_t depth = net_->parameters()[at(n.weight)].per_channel();
    multiplications_ += samples_ * n.out.size() * depth / (single ? n.in.channels : 1);
  }
}

// All channels, of which only one has moved.
template <class T>
void difference_pass<T>::state::widen(const shape& s, change& c) {
  if (c.how == extent::full) return;
  change wide;
  reserve(wide, extent::full, 0, s);
  std::ranges::fill(wide.data, T(0));
  const index_t rows = detail::groups_of(samples_) * s.area();
  for (index_t row = 0; row < rows; ++row) {
    std::copy_n(c.data.data() + row * lanes, lanes,
                wide.data.data() + (row * s.channels + c.channel) * lanes);
  }
  std::swap(c, wide);
  spare_.push_back(std::move(wide.data));
}

// Every buffer grows to the largest difference that it ever held.
template <class T>
index_t difference_bytes(const network& net, index_t count) {
  require(count >= 1, "zo::nn::difference_bytes: a batch needs at least one sample, got ", count);
  const detail::evaluation whole(net);
  const auto nodes = static_cast<index_t>(net.nodes().size());
  std::vector<index_t> begin(at(nodes + 1),
                             0);  // differences that live from here on, less those gone
  index_t largest = 0, of_group = 0, of_norms = 0;
  for (index_t id = 0; id < nodes; ++id) {
    const node& n = net.nodes()[at(id)];
    begin[at(id)] += 1;
    begin[at(std::max(id, whole.last_use[at(id)]) + 1)] -= 1;
    largest = std::max(largest, n.out.size());
    if (n.what == operation::batch_norm) of_norms += n.in.channels;
    if (detail::has_tiles(n)) of_group = std::max(of_group, detail::transformed_size(n));
  }
  index_t live = 0, most = 0;
  for (const index_t more : begin) most = std::max(most, live += more);
  const index_t spread = 1;  // a single channel among all, before it is given back
  constexpr auto number = static_cast<index_t>(sizeof(T)),
                 wide = static_cast<index_t>(sizeof(double));
  index_t bytes = of_group * number + of_norms * 4 * lanes * wide;
  for (const index_t part :
       {detail::product_of({most + spread, largest, number, lanes, detail::groups_of(count)}),
        detail::product_of({count, net.output().size(), number})}) {
    if (__builtin_add_overflow(bytes, part, &bytes)) return std::numeric_limits<index_t>::max();
  }
  return bytes;
}

double cost_from(const network& net, index_t first, bool one_channel) {
  enum class extent { none, channel, full };
  std::vector<extent> moved(net.nodes().size(), extent::none);
  moved[at(first)] = one_channel ? extent::channel : extent::full;
  double cost = static_cast<double>(one_channel ? net.nodes()[at(first)].out.area()
                                                : net.nodes()[at(first)].out.size());
  for (index_t id = first + 1; id < static_cast<index_t>(net.nodes().size()); ++id) {
    const node& n = net.nodes()[at(id)];
    extent in = moved[at(n.first)];
    if (n.second >= 0) in = std::max(in, moved[at(n.second)]);
    if (in == extent::none) continue;
    const extent out = mixes(n.what) ? extent::full : in;
    moved[at(id)] = out;
    cost += static_cast<double>(out == extent::full ? n.out.size() : n.out.area());
    if (!mixes(n.what)) continue;
    const index_t inputs = net.parameters()[at(n.weight)].per_channel();
    const double share = in == extent::channel ? 1 / static_cast<double>(n.in.channels) : 1.0;
    cost += share * static_cast<double>(n.out.size() * inputs);
  }
  return cost;
}

template index_t difference_bytes<float>(const network&, index_t);
template index_t difference_bytes<double>(const network&, index_t);

template <class T>
difference_pass<T>::difference_pass(const forward_pass<T>& base)
    : state_(std::make_unique<state>(base.values_)) {}

template <class T>
difference_pass<T>::difference_pass(const difference_pass& other)
    : state_(std::make_unique<state>(*other.state_)) {}
template <class T>
difference_pass<T>::difference_pass(difference_pass&&) noexcept = default;
template <class T>
difference_pass<T>::~difference_pass() = default;

template <class T>
void difference_pass<T>::begin() {
  state_->begin();
}

template <class T>
std::span<const T> difference_pass<T>::operator()(index_t coordinate, T step) {
  return state_->of_parameter(coordinate, step);
}

template <class T>
std::span<const T> difference_pass<T>::from(index_t node, std::span<const T> moved, coupling how) {
  return state_->from(node, moved, how);
}

template <class T>
std::span<const norm_sums> difference_pass<T>::sums() const {
  return state_->sums();
}

template <class T>
index_t difference_pass<T>::multiplications() const {
  return state_->multiplications();
}

template class difference_pass<float>;
template class difference_pass<double>;

}  // namespace zo::nn
