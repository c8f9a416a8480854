// Windows of pools.
#pragma once

#include <algorithm>
#include <vector>

#include "nn/lanes.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

/// The description of a pool of an image.
node pooled(operation what, index_t from, const shape& in, const pool_options& options);

/// Windows of `channels` neighbouring channels, dense in `in` and `out`: take(so far, next) goes
/// from value to value.
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

/// What add(in, out) sums up, over `count`; where such a sum is beyond all numbers, of the parts.
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
    if (!zo::detail::is_finite(out[i])) out[i] = again[static_cast<std::size_t>(i)];
  }
}

}  // namespace zo::nn::detail
