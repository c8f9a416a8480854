// Where the number of an item lies. Device code.
#pragma once

#include <cuda_runtime.h>

#include "cuda/nn/change.hpp"

namespace zo::cuda::detail {

// Sizes of one probe fit into 31 bits (the objective sees to it), and 32-bit divisions are cheaper.
struct place_of_item {
  int high, low;
  __device__ place_of_item(index_t item, int low_size)
      : high(static_cast<int>(static_cast<unsigned>(item) / static_cast<unsigned>(low_size))),
        low(static_cast<int>(item) - high * low_size) {}
};

// Where an output position begins in the image.
struct window_place {
  int sample, top, left;
  __device__ window_place(const window& w, int row) {
    const place_of_item image(row, w.out_area());
    const place_of_item line(image.low, w.out_width);
    sample = image.high;
    top = line.high * w.stride - w.padding;
    left = line.low * w.stride - w.padding;
  }
  __device__ int in_row(const window& w, int dy, int dx) const {
    return (sample * w.in_height + top + dy) * w.in_width + left + dx;
  }
};

// A number of a difference: its row and channel, of all or of the probe's.
template <class T>
struct element_of {
  int row, channel;
  index_t out;
  __device__ element_of(const change<T>& d, index_t probe, index_t item, index_t items)
      : out(probe * items + item) {
    if (d.how == extent::channel) {
      row = static_cast<int>(item);
      channel = d.channel(probe);
      return;
    }
    const place_of_item at(item, d.all_channels);
    row = at.high;
    channel = at.low;
  }
};

// Where the window of an output row lies in its image.
struct row_window {
  index_t image;  // first row of it
  int top, left;
  __device__ row_window(const window& w, index_t sample, int position)
      : image(sample * w.in_area()),
        top(position / w.out_width * w.stride - w.padding),
        left(position % w.out_width * w.stride - w.padding) {}
  // Of one probe: 32 bits are enough, and their divisions are cheaper.
  __device__ row_window(const window& w, int row)
      : row_window(w, row / w.out_area(), row % w.out_area()) {}

  __device__ bool inside(const window& w, int dy, int dx) const {
    const int y = top + dy, x = left + dx;
    return y >= 0 && y < w.in_height && x >= 0 && x < w.in_width;
  }
  __device__ index_t in_row(const window& w, int dy, int dx) const {
    return image + (top + dy) * w.in_width + left + dx;
  }
};

}  // namespace zo::cuda::detail
