#include "nn/layer/product.hpp"

#include <algorithm>
#include <concepts>
#include <utility>

#include "nn/layer/batch_norm.hpp"
#include "nn/loop_by_place.hpp"

namespace zo::nn::detail {

template <class T>
product<T>::product(const network& net, const plan& how, const unit& of)
    : copied_layer<T, product<T>>(net, how, of),
      makes_sums_(how.norm_after[static_cast<std::size_t>(of.last)] >= 0),
      runs_(runs_of(node_)),
      chunks_(chunks_of(node_, runs_)) {}

// Of all channels; runs, `in` and `out` are the caller's.
template <class T>
template <class E>
convolution_loop<T, E> product<T>::loop_of(const E* weights) const {
  const bool flat = node_.what == operation::linear;
  return {.runs = nullptr,
          .count = 0,
          .in_channels = node_.in.channels,
          .all_channels = node_.in.channels,
          .weight_step = block_channels,
          .out_channels = node_.out.channels,
          .in_row = node_.in.width,
          .kernel = flat ? node_.in.area() : node_.kernel,
          .kernel_rows = flat ? 1 : node_.kernel,
          .weights = weights,
          .bias = nullptr,
          .in = nullptr,
          .out = nullptr};
}

template <class T>
void product<T>::run(batch<T>& of, const pass_call<T>& call) {
  pack_weights(node_, of.parameter(node_.weight).data(), packed_);
  const std::span<const T> bias = of.parameter(node_.bias);
  const auto pieces = static_cast<index_t>(chunks_.size());
  const index_t items = groups_of(of.samples) * pieces;
  // A batch norm needs the sums of these outputs, and they are near now.
  const bool sums = of.mode == norm_mode::train && makes_sums_;
  const std::vector<T> zero(static_cast<std::size_t>(node_.out.channels), T(0));
  const index_t room = node_.out.channels * 2 * lanes;
  if (sums) fit(call.sums.numbers, items * room);
  call.sums.pieces = pieces;
  loop_by_place(call.threads, items, [&](index_t item) {
    const index_t group = item / pieces * lanes;
    const chunk& piece = chunks_[static_cast<std::size_t>(item % pieces)];
    auto loop = loop_of(std::as_const(packed_).data());
    loop.runs = runs_.data() + piece.first_run;
    loop.count = piece.runs;
    loop.bias = bias.empty() ? nullptr : bias.data();
    loop.in = of.data(node_.first) + group * node_.in.size();
    loop.out = of.data(unit_.last) + group * node_.out.size();
    best_loops<T>().convolve(loop);
    if (!sums) return;
    const T* const made = loop.out + piece.first_position * node_.out.channels * lanes;
    double* const into = call.sums.numbers.data() + item * room;
    std::fill_n(into, room, 0.0);
    best_loops<T>().norm_sums({{piece.positions, node_.out.channels},
                               {},
                               {made, node_.out.channels},
                               zero.data(),
                               nullptr,
                               into});
  });
}

template <class T>
void product<T>::prepare_differences(const batch<T>& of, products how) {
  const T* const weight = of.parameter(node_.weight).data();
  in_pairs_ = has_pairs(node_, how);
  if (in_pairs_ || !has_tiles(node_)) {
    tiles_ = lane_vector<T>();
  } else {
    pack_tiles(node_, weight, tiles_);
  }
  if (!in_pairs_) pairs_ = std::vector<bfloat16_pair>();
  if constexpr (std::same_as<T, float>) {
    if (in_pairs_) pack_pairs(node_, weight, pairs_);
  }
}

namespace {

// Outputs [first, end) of a row or column see a tap inside the image, the first of them at `from`;
// the others see its padding.
struct stretch {
  index_t first, end, from;
  index_t count() const { return end - first; }
};
stretch stretch_of(const node& n, index_t tap, index_t out_size, index_t in_size) {
  const index_t shift = n.padding - tap;
  const index_t first = std::max<index_t>(0, (shift + n.stride - 1) / n.stride);
  const index_t last = in_size - 1 + shift;  // in steps of the input
  const index_t end = last < 0 ? 0 : std::min(out_size, last / n.stride + 1);
  return {first, std::max(first, end), first * n.stride - shift};
}

// What one weight multiplies.
struct seen_inputs {
  index_t channel;
  stretch rows, columns;
  bool any() const { return rows.count() > 0 && columns.count() > 0; }
  bool all_of(const shape& out) const {
    return rows.count() == out.height && columns.count() == out.width;
  }
};
seen_inputs seen_by(const node& n, const view& weight, index_t element) {
  const index_t per_channel = weight.per_channel(), taps = per_channel / n.in.channels;
  const index_t within = element % per_channel, tap = within % taps;
  if (n.what == operation::linear) return {within / taps, {0, 1, 0}, {0, 1, tap}};
  return {within / taps, stretch_of(n, tap / n.kernel, n.out.height, n.in.height),
          stretch_of(n, tap % n.kernel, n.out.width, n.in.width)};
}
template <class T>
plane_rows<T> first_of(const batch<T>& base, const node& n, const seen_inputs& seen,
                       index_t group) {
  const plane_rows<T> from = base.channel(n.first, seen.channel, group);
  return {from.data + (seen.rows.from * from.next + seen.columns.from * from.step) * lanes,
          from.step * n.stride, from.next * n.stride};
}

}  // namespace

template <class T>
bool product<T>::is_bias(const batch<T>& base, const view& parameter) const {
  return node_.bias >= 0 &&
         parameter.offset == base.net->parameters()[static_cast<std::size_t>(node_.bias)].offset;
}

// The outputs are linear in the parameters.
template <class T>
void product<T>::start(const batch<T>& base, const view& parameter, index_t element, T step,
                       const lane_change<T>& out) const {
  const shape& s = node_.out;
  const index_t groups = groups_of(base.samples);
  if (is_bias(base, parameter)) {
    std::fill_n(out.data, groups * s.area() * lanes, step);
    return;
  }
  const seen_inputs seen = seen_by(node_, parameter, element);
  for (index_t g = 0; g < groups; ++g) {
    T* const to = out.data + g * s.area() * lanes;
    if (!seen.all_of(s)) std::fill_n(to, s.area() * lanes, T(0));
    if (!seen.any()) continue;
    best_loops<T>().scale({seen.rows.count(), seen.columns.count(), first_of(base, node_, seen, g),
                           step, to + (seen.rows.first * s.width + seen.columns.first) * lanes,
                           s.width});
  }
}

template <class T>
bool product<T>::pair(const batch<T>& base, const view& parameter, index_t element, T step,
                      index_t group, const T* cotangent, double* sums) const {
  if (is_bias(base, parameter)) return false;
  const shape& s = node_.out;
  const seen_inputs seen = seen_by(node_, parameter, element);
  if (!seen.any()) return true;
  const T* const first = cotangent + (seen.rows.first * s.width + seen.columns.first) * lanes;
  best_loops<T>().pair({seen.rows.count(),
                        seen.columns.count(),
                        1,
                        step,
                        first_of(base, node_, seen, group),
                        {first, 1, s.width},
                        sums});
  return true;
}

template <class T>
void product<T>::follow(const question<T>& q) const {
  if (q.sums_of_out != nullptr) q.sums_of_out->begin(q, q.out, unit_.last, *q.norm_after);
  for (index_t g = 0; g < q.groups(); ++g) follow_group(q, g);
}

// Positions of the input up to the last one that a chunk reads; all by the last chunk.
template <class T>
index_t product<T>::positions_read(const chunk& piece) const {
  const index_t end = piece.first_position + piece.positions;
  if (end == node_.out.area()) return node_.in.area();
  const index_t last = (end - 1) / node_.out.width * node_.stride - node_.padding + node_.kernel;
  return std::clamp<index_t>(last, 0, node_.in.height) * node_.in.width;
}

// One group, chunk by chunk, so that inputs that a batch norm had yet to write, and outputs of
// which one needs sums, are near.
template <class T>
template <class Arrived, class Run>
void product<T>::each_chunk(const question<T>& q, index_t group, const Arrived& arrived,
                            const Run& run) const {
  index_t there = 0;  // positions of the input
  for (const chunk& piece : chunks_) {
    const index_t end = positions_read(piece);
    if (q.left_to_do != nullptr) (*q.left_to_do)(group, there, end - there);
    arrived(there, end - there);
    there = end;
    run(piece);
    if (q.sums_of_out == nullptr) continue;
    if (group == 0 && piece.first_position == 0) q.sums_of_out->set_pivots(piece.positions);
    q.sums_of_out->add(group, piece.first_position, piece.positions);
  }
}

template <class T>
void product<T>::follow_group(const question<T>& q, index_t group) const {
  const node& n = node_;
  const bool single = q.main.how == extent::channel;
  const T* const d = q.main.data + group * (single ? n.in.area() : n.in.size()) * lanes;
  T* const to = q.out.data + group * n.out.size() * lanes;
  const auto by_runs = [&](auto loop, const auto* in, auto convolve, const auto& arrived) {
    loop.in = in;
    loop.out = to;
    each_chunk(q, group, arrived, [&](const chunk& piece) {
      loop.runs = runs_.data() + piece.first_run;
      loop.count = piece.runs;
      convolve(loop);
    });
  };
  const auto as_it_is = [](index_t, index_t) {};
  q.scratch->begin(scratch_bytes());
  if constexpr (std::same_as<T, float>) {
    if (!single && in_pairs_) {
      const index_t channels = pairs_of(n.in.channels);
      auto* const rounded = q.scratch->template take<bfloat16_pair>(n.in.area() * channels * lanes);
      auto loop = loop_of(pairs_.data());
      loop.in_channels = loop.all_channels = channels;
      by_runs(loop, rounded, best_pair_loops()->convolve, [&](index_t first, index_t count) {
        best_pair_loops()->round(count, n.in.channels, d + first * n.in.channels * lanes,
                                 rounded + first * channels * lanes);
      });
      return;
    }
  }
  if (!single && has_tiles(n)) {
    const index_t width = n.in.width;
    T* const transformed = q.scratch->template take<T>(transformed_size(n));
    each_chunk(q, group, as_it_is, [&](const chunk& piece) {
      best_loops<T>().convolve_tiles({piece.first_position / width, piece.positions / width, width,
                                      n.in.height, n.in.channels, n.out.channels, tiles_.data(), d,
                                      transformed, to});
    });
    return;
  }
  auto loop = loop_of(packed_.data());
  if (single) {
    loop.in_channels = 1;
    loop.weight_step = n.in.channels * block_channels;
    loop.weights += q.main.channel * block_channels;
  }
  by_runs(loop, d, best_loops<T>().convolve, as_it_is);
}

template <class T>
index_t product<T>::bytes(index_t /*count*/, std::optional<products> differences) const {
  constexpr auto number = static_cast<index_t>(sizeof(T));
  index_t all =
      packed_size(node_) * number + static_cast<index_t>(runs_.size() * sizeof(position_run));
  if (differences && has_pairs(node_, *differences)) {
    all += pairs_bytes(node_);
  } else if (differences && has_tiles(node_)) {
    all += tiles_size(node_) * number;
  }
  return all;
}

template <class T>
index_t product<T>::sums_of_group() const {
  return makes_sums_ ? static_cast<index_t>(chunks_.size()) * node_.out.channels * 2 * lanes : 0;
}

template <class T>
index_t product<T>::scratch_bytes() const {
  const index_t tiles = has_tiles(node_) ? scratch_memory::size_of<T>(transformed_size(node_)) : 0;
  const bool pairs = std::same_as<T, float> && has_pairs(node_, products::bfloat16);
  const index_t rounded = node_.in.area() * pairs_of(node_.in.channels) * lanes;
  return std::max(tiles, pairs ? scratch_memory::size_of<bfloat16_pair>(rounded) : 0);
}

template class product<float>;
template class product<double>;

}  // namespace zo::nn::detail
