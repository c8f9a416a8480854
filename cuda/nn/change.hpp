// What the launches of networks share: windows, differences and where they are written, and what
// is known of batch norms. Values lie by sample, position and channel; differences the same for
// each probe: [probe][sample][position][channel].
#pragma once

#include <type_traits>

#include "src/nn/extent.hpp"
#include "zo/bfloat16.hpp"
#include "zo/config.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::cuda::detail {

using nn::detail::extent;
using nn::detail::norm_response;

// Windows that slide over an image: of a convolution, a pool, or a linear map, whose one window is
// the whole image.
struct window {
  int in_height, in_width, in_channels;
  int out_height, out_width, out_channels;
  int height, width;  // of the window
  int stride, padding;

  ZO_HD int in_area() const { return in_height * in_width; }
  ZO_HD int out_area() const { return out_height * out_width; }
  ZO_HD int taps() const { return height * width; }
};

// Probes of one parameter tensor that go together: number k of them is number order[k] of the call.
// Each begins as a difference of one channel of the layer's output.
template <class T>
struct probe_group {
  const index_t* order;
  const index_t* coordinates;
  const T* steps;
  index_t count;
  index_t offset;  // of the tensor's first coordinate
  int* channels;   // of each probe, to be found
  T* out;          // [probe][row]
};

// Differences of one value: none, one channel for each probe ([probe][row]), or all of them. Those
// of all channels may be kept in bfloat16.
template <class T>
struct change {
  extent how = extent::none;
  const T* exact = nullptr;
  const bfloat16* rounded = nullptr;
  const int* channels = nullptr;  // of probes, where the difference began
  int shift = 0;                  // from there to here
  int all_channels = 0;
  index_t rows = 0;  // samples x positions

  // Numbers of a probe.
  ZO_HD index_t items() const { return how == extent::channel ? rows : rows * all_channels; }
  ZO_HD int channel(index_t probe) const { return channels[probe] + shift; }
  ZO_HD T number(index_t i) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded != nullptr) return static_cast<float>(rounded[i]);
    }
    return exact[i];
  }
  ZO_HD T at(index_t probe, index_t row, int c) const {
    if (how == extent::full) return number((probe * rows + row) * all_channels + c);
    if (how == extent::none || c != channel(probe)) return T(0);
    return exact[probe * rows + row];
  }
};

// Where a difference is written; one of both.
template <class T>
struct sink {
  T* exact = nullptr;
  bfloat16* rounded = nullptr;

  ZO_HD void put(index_t at, T value) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded != nullptr) {
        rounded[at] = bfloat16(value);
        return;
      }
    }
    exact[at] = value;
  }
};

// What is known of a batch norm, by channel. The centre is the mean rounded to T, `rest` what that
// left of it.
template <class T>
struct norm_base {
  double *mean, *variance, *root, *rest;
  T* centre;
  T* kept;  // responses where statistics do not follow
};

// How batch norms answer differences, by planes of scales, slopes, shifts and rests: that of probe
// k in channel c lies at k probe_step + c channel_step, the others planes of `plane` numbers on.
template <class T>
struct norm_responses {
  const T* numbers = nullptr;
  index_t probe_step = 0;  // 0: the same of every probe
  int plane = 0, channel_step = 1;

  ZO_HD norm_response<T> at(index_t probe, int channel) const {
    const T* const from = numbers + probe * probe_step + channel * channel_step;
    return {from[0], from[plane], from[2 * plane], from[3 * plane]};
  }
};
inline constexpr int response_planes = 4, shift_plane = 2;

// Rows that are added up first; tiles are then added in the order of a fixed tree.
inline constexpr index_t tile_rows = 64;
ZO_HD constexpr index_t tiles_of(index_t rows, index_t of_rows = tile_rows) {
  return (rows + of_rows - 1) / of_rows;
}

}  // namespace zo::cuda::detail
