// Operations without weights on one group of samples, for all channels or for some.
#pragma once

#include <algorithm>
#include <vector>

#include "lanes.hpp"
#include "zo/nn/layer/pool.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::nn::detail {

// Of all channels; runs, `in` and `out` are the caller's.
template <class T, class E>
convolution_loop<T, E> whole_convolution(const node& n, const E* packed) {
  const bool flat = n.what == operation::linear;
  return {.runs = nullptr,
          .count = 0,
          .in_channels = n.in.channels,
          .all_channels = n.in.channels,
          .weight_step = block_channels,
          .out_channels = n.out.channels,
          .in_row = n.in.width,
          .kernel = flat ? n.in.area() : n.kernel,
          .kernel_rows = flat ? 1 : n.kernel,
          .weights = packed,
          .bias = nullptr,
          .in = nullptr,
          .out = nullptr};
}

template <class T>
void relu(index_t numbers, const T* in, T* out) {
  for (index_t i = 0; i < numbers; ++i) out[i] = in[i] < T(0) ? T(0) : in[i];
}

// Windows of `channels` neighbouring channels, dense in `in` and `out`: take(so far, next) goes
// from value to value.
template <class T, class Take>
void pool(const node& n, index_t channels, const T* in, T* out, const Take& take) {
  const index_t row = channels * lanes;
  for (index_t y = 0; y < n.out.height; ++y) {
    for (index_t x = 0; x < n.out.width; ++x, out += row) {
      const T* const corner = in + (y * n.stride * n.in.width + x * n.stride) * row;
      std::copy_n(corner, row, out);
      for (index_t tap = 1; tap < n.kernel * n.kernel; ++tap) {
        const T* const from = corner + (tap / n.kernel * n.in.width + tap % n.kernel) * row;
        for (index_t i = 0; i < row; ++i) out[i] = take(out[i], from[i]);
      }
    }
  }
}

template <class T>
void max_pool(const node& n, index_t channels, const T* in, T* out) {
  pool(n, channels, in, out, larger<T>);
}

// What add(in, out) sums up, over `count`; where such a sum is beyond all numbers, of the parts.
template <class T, class Add>
void mean(index_t in_numbers, index_t out_numbers, index_t count, const T* in, T* out,
          const Add& add) {
  const T all = static_cast<T>(count);
  T infinite = 0;  // or NaN, where a sum is not finite
  add(in, out);
  for (index_t i = 0; i < out_numbers; ++i) {
    infinite += out[i] - out[i];
    out[i] /= all;
  }
  if (infinite == T(0)) return;
  std::vector<T> parts(in, in + in_numbers), again(static_cast<std::size_t>(out_numbers));
  for (T& p : parts) p /= all;
  add(parts.data(), again.data());
  for (index_t i = 0; i < out_numbers; ++i) {
    if (!is_finite(out[i])) out[i] = again[static_cast<std::size_t>(i)];
  }
}

template <class T>
void average_pool(const node& n, index_t channels, const T* in, T* out) {
  const index_t row = channels * lanes;
  mean(n.in.area() * row, n.out.area() * row, n.kernel * n.kernel, in, out,
       [&](const T* from, T* to) {
         pool(n, channels, from, to, [](T sum, T next) { return sum + next; });
       });
}

template <class T>
void global_average_pool(const node& n, index_t channels, const T* in, T* out) {
  const index_t row = channels * lanes, area = n.in.area();
  mean(area * row, row, area, in, out, [&](const T* from, T* to) {
    std::copy_n(from, row, to);
    for (index_t p = 1; p < area; ++p) {
      for (index_t i = 0; i < row; ++i) to[i] += from[p * row + i];
    }
  });
}

// Every second row and column; `before` channels of zeros, then those given, of out_channels.
template <class T>
void subsample(const node& n, index_t channels, index_t before, index_t out_channels, const T* in,
               T* out) {
  const index_t row = channels * lanes;
  for (index_t y = 0; y < n.out.height; ++y) {
    for (index_t x = 0; x < n.out.width; ++x, out += out_channels * lanes) {
      std::fill_n(out, out_channels * lanes, T(0));
      std::copy_n(in + (y * n.stride * n.in.width + x * n.stride) * row, row, out + before * lanes);
    }
  }
}

/// Those that are the same for values and for differences: linear ones. Of all channels, or of a
/// single one that stands by itself.
template <class T>
void evaluate_linear(const node& n, bool single, const T* in, const T* other, T* out) {
  const index_t channels = single ? 1 : n.in.channels;
  switch (n.what) {
    case operation::average_pool:
      return average_pool(n, channels, in, out);
    case operation::global_average_pool:
      return global_average_pool(n, channels, in, out);
    case operation::subsample:
      if (single) return subsample(n, 1, 0, 1, in, out);
      return subsample(n, channels, (n.out.channels - n.in.channels) / 2, n.out.channels, in, out);
    case operation::add:
      for (index_t i = 0; i < n.out.area() * channels * lanes; ++i) out[i] = in[i] + other[i];
      return;
    case operation::input:
    case operation::convolution:
    case operation::linear:
    case operation::batch_norm:
    case operation::relu:
    case operation::max_pool:
      return;  // the callers'
  }
}

template <class T>
void evaluate(const node& n, const T* in, const T* other, T* out) {
  switch (n.what) {
    case operation::relu:
      return relu(n.in.size() * lanes, in, out);
    case operation::max_pool:
      return max_pool(n, n.in.channels, in, out);
    case operation::average_pool:
    case operation::global_average_pool:
    case operation::add:
    case operation::subsample:
      return evaluate_linear(n, false, in, other, out);
    case operation::input:
    case operation::convolution:
    case operation::linear:
    case operation::batch_norm:
      return;  // the pass's own
  }
}

}  // namespace zo::nn::detail
