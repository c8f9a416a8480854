// Operations on one sample, shared by values and differences.
#pragma once

#include <algorithm>
#include <vector>

#include "product.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

// Output positions that are worked on at once: their columns lie together in the cache.
inline constexpr index strip_positions = 96;

/// Columns of the product that a convolution is, for output positions first … first+count-1:
/// columns[((c * kernel + ky) * kernel + kx) * strip_positions + position], zero outside the image.
template <class T>
void unfold(const node& n, index channels, const T* in, index first, index count, T* columns) {
  const index k = n.kernel, width = n.out.width;
  for (index c = 0; c < channels; ++c) {
    const T* const image = in + c * n.in.area();
    for (index ky = 0; ky < k; ++ky) {
      for (index kx = 0; kx < k; ++kx, columns += strip_positions) {
        // Runs of positions in one row of the image.
        for (index p = first; p < first + count;) {
          const index y = p / width, x = p % width;
          const index run = std::min(width - x, first + count - p);
          const index from = y * n.stride + ky - n.padding;
          T* const to = columns + (p - first);
          const T* const row = image + from * n.in.width;
          const index left = x * n.stride + kx - n.padding;
          if (from < 0 || from >= n.in.height) {
            std::fill_n(to, run, T(0));
          } else if (n.stride == 1 && left >= 0 && left + run <= n.in.width) {
            std::copy_n(row + left, run, to);
          } else {
            for (index i = 0; i < run; ++i) {
              const index at = left + i * n.stride;
              to[i] = at < 0 || at >= n.in.width ? T(0) : row[at];
            }
          }
          p += run;
        }
      }
    }
  }
}

template <class T>
T* scratch(index size) {
  static thread_local std::vector<T> memory;
  if (static_cast<index>(memory.size()) < size) memory.resize(static_cast<std::size_t>(size));
  return memory.data();
}

/// `channels` channels of one sample through the weights of a convolution, of which row o has
/// channels * kernel * kernel. A null bias is none.
template <class T>
void convolve(const node& n, index channels, const T* weight, const T* bias, const T* in,
              T* columns, T* out) {
  const index depth = channels * n.kernel * n.kernel;
  for (index o = 0; bias != nullptr && o < n.out.channels; ++o) {
    std::fill_n(out + o * n.out.area(), n.out.area(), bias[o]);
  }
  for (index first = 0; first < n.out.area(); first += strip_positions) {
    const index count = std::min(strip_positions, n.out.area() - first);
    unfold(n, channels, in, first, count, columns);
    product<T>({n.out.channels, count, depth, weight, columns, strip_positions, out + first,
                n.out.area(), bias != nullptr});
  }
}

template <class T>
void convolve(const node& n, const T* weight, const T* bias, const T* in, T* out) {
  const index depth = n.in.channels * n.kernel * n.kernel;
  convolve(n, n.in.channels, weight, bias, in, scratch<T>(depth * strip_positions), out);
}

/// One channel of one sample.
template <class T>
void pool(const node& n, const T* in, T* out) {
  if (n.what == operation::global_average_pool) {
    T sum = 0;
    for (index i = 0; i < n.in.area(); ++i) sum += in[i];
    *out = sum / static_cast<T>(n.in.area());
    return;
  }
  for (index y = 0; y < n.out.height; ++y) {
    for (index x = 0; x < n.out.width; ++x) {
      const T* const corner = in + y * n.stride * n.in.width + x * n.stride;
      T best = corner[0], sum = 0;
      for (index ky = 0; ky < n.kernel; ++ky) {
        for (index kx = 0; kx < n.kernel; ++kx) {
          const T value = corner[ky * n.in.width + kx];
          best = value > best ? value : best;
          sum += value;
        }
      }
      const bool largest = n.what == operation::max_pool;
      out[y * n.out.width + x] = largest ? best : sum / static_cast<T>(n.kernel * n.kernel);
    }
  }
}

template <class T>
void subsample(const node& n, const T* in, T* out) {
  for (index y = 0; y < n.out.height; ++y) {
    for (index x = 0; x < n.out.width; ++x) {
      out[y * n.out.width + x] = in[y * n.stride * n.in.width + x * n.stride];
    }
  }
}

}  // namespace zo::nn::detail
