// Geometry and packing for the loops over lane rows, and the choice among them.
#include "lanes.hpp"

#include <algorithm>
#include <string_view>

#include "zo/bfloat16.hpp"
#include "zo/direction.hpp"

namespace zo::nn::detail {

namespace {

// Taps of output position `at` that lie inside an image of `extent`: the first and how many.
struct inside {
  index first, count;
  bool operator==(const inside&) const = default;
};

inside taps_inside(const node& n, index at, index extent) {
  const index corner = at * n.stride - n.padding;
  const index first = std::max<index>(0, -corner);
  return {first, std::max<index>(0, std::min(n.kernel, extent - corner) - first)};
}

}  // namespace

std::vector<position_run> runs_of(const node& n) {
  if (n.what == operation::linear) {
    return {{.count = 1,
             .out = 0,
             .in = 0,
             .stride = 0,
             .tap = 0,
             .taps = static_cast<std::int32_t>(n.in.area()),
             .row = 0,
             .rows = 1}};
  }
  std::vector<position_run> runs;
  for (index y = 0; y < n.out.height; ++y) {
    const inside rows = taps_inside(n, y, n.in.height);
    for (index x = 0; x < n.out.width;) {
      const inside columns = taps_inside(n, x, n.in.width);
      index count = 1;
      while (count < 3 && x + count < n.out.width &&
             taps_inside(n, x + count, n.in.width) == columns) {
        ++count;
      }
      const index row = y * n.stride - n.padding + rows.first;
      const index column = x * n.stride - n.padding + columns.first;
      runs.push_back({.count = static_cast<std::int32_t>(count),
                      .out = static_cast<std::int32_t>(y * n.out.width + x),
                      .in = static_cast<std::int32_t>(row * n.in.width + column),
                      .stride = static_cast<std::int32_t>(n.stride),
                      .tap = static_cast<std::int32_t>(columns.first),
                      .taps = static_cast<std::int32_t>(columns.count),
                      .row = static_cast<std::int32_t>(rows.first),
                      .rows = static_cast<std::int32_t>(rows.count)});
      x += count;
    }
  }
  return runs;
}

template <class T>
void pack_weights(const node& n, const T* weight, lane_vector<T>& packed) {
  const bool flat = n.what == operation::linear;
  const index taps = flat ? n.in.area() : n.kernel * n.kernel, channels = n.in.channels;
  packed.assign(
      static_cast<std::size_t>(blocks_of(n.out.channels) * taps * channels * block_channels), T(0));
  for (index o = 0; o < n.out.channels; ++o) {
    T* const block =
        packed.data() + o / block_channels * taps * channels * block_channels + o % block_channels;
    for (index c = 0; c < channels; ++c) {
      for (index tap = 0; tap < taps; ++tap) {
        block[(tap * channels + c) * block_channels] = weight[(o * channels + c) * taps + tap];
      }
    }
  }
}

template <class T>
const loops<T>& best_loops() {
  static const loops<T> best = [] {
    [[maybe_unused]] const std::string_view set = instruction_set();
#if defined(ZO_HAS_X86_KERNELS)
    if (set == "avx512") return loops_of_set<T>::avx512();
    if (set == "avx2") return loops_of_set<T>::avx2();
#endif
    return loops_of_set<T>::generic();
  }();
  return best;
}

void pack_pairs(const node& n, const float* weight, std::vector<bfloat16_pair>& packed) {
  lane_vector<float> values;
  pack_weights(n, weight, values);
  const index channels = n.in.channels, pairs = pairs_of(channels);
  const index rows = static_cast<index>(values.size()) / block_channels / channels;
  packed.resize(static_cast<std::size_t>(rows * pairs * block_channels));
  for (index row = 0; row < rows; ++row) {
    for (index c = 0; c < channels; ++c) {
      for (index o = 0; o < block_channels; ++o) {
        const auto at = static_cast<std::size_t>((row * channels + c) * block_channels + o);
        const std::uint32_t half = bfloat16(values[at]).bits;
        bfloat16_pair& pair =
            packed[static_cast<std::size_t>((row * pairs + c / 2) * block_channels + o)];
        pair.bits = c % 2 == 0 ? half : pair.bits | half << 16;
      }
    }
  }
}

const pair_loops& best_pair_loops() {
  static const pair_loops best = [] {
    [[maybe_unused]] const std::string_view set = instruction_set();
#if defined(ZO_HAS_BFLOAT16_KERNELS)
    if (set == "avx512" && __builtin_cpu_supports("avx512bf16")) {
      return pair_loops_of_set::avx512_bf16();
    }
#endif
#if defined(ZO_HAS_X86_KERNELS)
    if (set == "avx512") return pair_loops_of_set::avx512();
    if (set == "avx2") return pair_loops_of_set::avx2();
#endif
    return pair_loops_of_set::generic();
  }();
  return best;
}

template void pack_weights(const node&, const float*, lane_vector<float>&);
template void pack_weights(const node&, const double*, lane_vector<double>&);
template const loops<float>& best_loops();
template const loops<double>& best_loops();

}  // namespace zo::nn::detail
