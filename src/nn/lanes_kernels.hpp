// The loops over lane rows for one instruction set. Raw pointers and built-ins only, as in
// direction_kernels.hpp.
#pragma once

#include "lanes.hpp"
#include "simd/pack.hpp"

namespace zo::nn::detail {
namespace {

using zo::detail::pair_part, zo::detail::part;

// Eight channels of three positions are 24 sums, and what they are made of.
inline constexpr int channels_at_once = zo::detail::registers == 32 ? 8 : 4;

template <class E>
struct part_type {
  using type = part<E>;
};
template <>
struct part_type<bfloat16_pair> {
  using type = pair_part;
};

// Channels x Positions lane rows (their parts of one register) stay in registers over all taps.
template <int Channels, int Positions, class T, class E>
inline void convolve_block(const convolution_loop<T, E> p, const position_run& run, index_t block,
                           index_t first, index_t offset) {
  using V = part<T>;
  using factor_part = typename part_type<E>::type;
  V sum[Channels][Positions];
  for (int o = 0; o < Channels; ++o) {
    const index_t channel = block * block_channels + first + o;
    const bool has = p.bias != nullptr && channel < p.out_channels;
    for (int i = 0; i < Positions; ++i) sum[o][i] = V(has ? p.bias[channel] : T(0));
  }
  const index_t weight_row = p.kernel * p.all_channels * block_channels;
  const E* weights = p.weights + block * p.kernel_rows * weight_row + run.row * weight_row +
                     run.tap * p.all_channels * block_channels + first;
  const E* in = p.in + run.in * p.in_channels * lanes + offset;
  const index_t next = run.in_stride * p.in_channels * lanes;
  const index_t depth = run.taps * p.in_channels;
  for (int row = 0; row < run.rows; ++row) {
    const E* w = weights;
    const E* x = in;
    for (index_t k = 0; k < depth; ++k, w += p.weight_step, x += lanes) {
      factor_part value[Positions];
      for (int i = 0; i < Positions; ++i) value[i] = factor_part::load(x + i * next);
      for (int o = 0; o < Channels; ++o) {
        const factor_part factor = factor_part(w[o]);
        for (int i = 0; i < Positions; ++i) sum[o][i] = fused(factor, value[i], sum[o][i]);
      }
    }
    weights += weight_row;
    in += p.in_row * p.in_channels * lanes;
  }
  for (int o = 0; o < Channels; ++o) {
    const index_t channel = block * block_channels + first + o;
    if (channel >= p.out_channels) break;
    for (int i = 0; i < Positions; ++i) {
      sum[o][i].store(p.out + ((run.out + i * run.out_stride) * p.out_channels + channel) * lanes +
                      offset);
    }
  }
}

template <class T, class E = T>
void convolve(const convolution_loop<T, E>& p) {
  for (index_t r = 0; r < p.count; ++r) {
    const position_run& run = p.runs[r];
    for (index_t block = 0; block * block_channels < p.out_channels; ++block) {
      for (index_t first = 0; first < block_channels; first += channels_at_once) {
        for (index_t offset = 0; offset < lanes; offset += part<T>::width) {
          if (run.count == 3) {
            convolve_block<channels_at_once, 3>(p, run, block, first, offset);
          } else if (run.count == 2) {
            convolve_block<channels_at_once, 2>(p, run, block, first, offset);
          } else {
            convolve_block<channels_at_once, 1>(p, run, block, first, offset);
          }
        }
      }
    }
  }
}

// A whole lane row; the compiler cuts it into registers. Its operations are rounded one by one.
template <class T>
struct row_type;
template <>
struct row_type<float> {
  using type = float __attribute__((vector_size(64)));
};
template <>
struct row_type<double> {
  using type = double __attribute__((vector_size(128)));
};
template <class T>
using lane_row = typename row_type<T>::type;

template <class T>
inline lane_row<T> load(const T* p) {
  lane_row<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, const lane_row<T>& v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class T>
inline void add_to(double* sum, const lane_row<T>& v) {
  for (index_t k = 0; k < lanes; ++k) sum[k] += static_cast<double>(v[k]);
}

// As those of zo/nn/layer/, which are not included here: compiled for one instruction set,
// they would be those of the whole library.
template <class T>
inline lane_row<T> relu_difference(const lane_row<T>& base, const lane_row<T>& change) {
  const lane_row<T> zero{};
  const lane_row<T> least = base > zero ? -base : zero;
  const lane_row<T> moved = base > zero ? change + (base - base) : base + change;
  return moved < least ? least : moved;
}
template <class T>
inline lane_row<T> above_maximum(const lane_row<T>& base, const lane_row<T>& value,
                                 const lane_row<T>& change) {
  const lane_row<T> gap = base - value, part = gap - base, zero{};
  const lane_row<T> left = (base - (gap - part)) - (value + part), sum = gap + change;
  return gap - gap == zero ? sum + left : sum;
}

// One row of the input: from six neighbouring values of a tile, zeros beside the image, what its
// six sums multiply.
template <class T>
inline void transform_row(const tile_loop<T> p, index_t y) {
  const index_t channels = p.in_channels, tiles = p.width / tile;
  const T* const row = p.in + y * p.width * channels * lanes;
  T* to = p.transformed + y % 4 * tiles * channels * sums_of_tile * lanes;
  const index_t second = channels * half_tile * lanes, step = channels * lanes;
  for (index_t t = 0; t < tiles; ++t, to += second) {
    for (index_t c = 0; c < channels; ++c, to += half_tile * lanes) {
      const T* const at = row + (t * tile * channels + c) * lanes;
      const lane_row<T> zero{};
      const lane_row<T> d0 = t == 0 ? zero : load(at - step);
      const lane_row<T> d1 = load(at), d2 = load(at + step), d3 = load(at + 2 * step);
      const lane_row<T> d4 = load(at + 3 * step);
      const lane_row<T> d5 = t + 1 == tiles ? zero : load(at + 4 * step);
      const lane_row<T> even = d4 - d2 * T(4), odd = d3 - d1 * T(4);
      const lane_row<T> near = d4 - d2, twice = (d3 - d1) * T(2);
      store(to, d0 * T(4) - d2 * T(5) + d4);
      store(to + lanes, even + odd);
      store(to + 2 * lanes, even - odd);
      store(to + second, near + twice);
      store(to + second + lanes, near - twice);
      store(to + second + 2 * lanes, d1 * T(4) - d3 * T(5) + d5);
    }
  }
}

// One tile of output row y, for Channels channels: three of its sums over rows of taps and
// channels. The second three are added to what the first made of the outputs.
template <int Channels, bool Second, class T>
inline void convolve_tile(const tile_loop<T>& p, index_t y, index_t t, index_t block, index_t first,
                          index_t offset) {
  using V = part<T>;
  V sum[half_tile][Channels];
  for (auto& of_tile : sum) {
    for (V& s : of_tile) s = V(T(0));
  }
  const index_t channels = p.in_channels, half = channels * half_tile;
  const index_t row_size = p.width / tile * half * 2 * lanes;
  for (index_t ky = y == 0 ? 1 : 0; ky < 3 && y + ky - 1 < p.height; ++ky) {
    const T* x =
        p.transformed + (y + ky - 1) % 4 * row_size + (t * 2 + Second) * half * lanes + offset;
    const T* w = p.weights + ((block * 2 + Second) * 3 + ky) * half * block_channels + first;
    for (index_t c = 0; c < channels; ++c) {
      for (index_t k = 0; k < half_tile; ++k, x += lanes, w += block_channels) {
        const V value = V::load(x);
        for (int o = 0; o < Channels; ++o) sum[k][o] = fused(V(w[o]), value, sum[k][o]);
      }
    }
  }
  for (int o = 0; o < Channels; ++o) {
    const index_t channel = block * block_channels + first + o;
    if (channel >= p.out_channels) break;
    T* const to = p.out + ((y * p.width + t * tile) * p.out_channels + channel) * lanes + offset;
    const index_t step = p.out_channels * lanes;
    if constexpr (!Second) {
      const V even = sum[1][o] + sum[2][o], odd = sum[1][o] - sum[2][o];
      (sum[0][o] + even).store(to);
      odd.store(to + step);
      even.store(to + 2 * step);
      odd.store(to + 3 * step);
    } else {
      const V even = sum[0][o] + sum[1][o], odd = sum[0][o] - sum[1][o];
      (V::load(to) + even).store(to);
      fused(V(T(2)), odd, V::load(to + step)).store(to + step);
      fused(V(T(4)), even, V::load(to + 2 * step)).store(to + 2 * step);
      (fused(V(T(8)), odd, V::load(to + 3 * step)) + sum[2][o]).store(to + 3 * step);
    }
  }
}

template <class T>
void convolve_tiles(const tile_loop<T>& p) {
  const index_t tiles = p.width / tile;
  for (index_t y = p.first; y < p.first + p.count; ++y) {
    if (y == 0) transform_row(p, 0);
    if (y + 1 < p.height) transform_row(p, y + 1);
    for (index_t block = 0; block * block_channels < p.out_channels; ++block) {
      for (index_t first = 0; first < block_channels; first += channels_at_once) {
        for (index_t offset = 0; offset < lanes; offset += part<T>::width) {
          for (index_t t = 0; t < tiles; ++t) {
            convolve_tile<channels_at_once, false>(p, y, t, block, first, offset);
          }
          for (index_t t = 0; t < tiles; ++t) {
            convolve_tile<channels_at_once, true>(p, y, t, block, first, offset);
          }
        }
      }
    }
  }
}

// Sums in T over this many positions, then in double: no longer sum in T, for its rounding.
inline constexpr index_t positions_at_once = 32;

// Channels together, so that loads of neighbouring lane rows follow each other.
template <int Channels, bool Differences, class T>
inline void norm_sums_block(const norm_sums_loop<T>& p, index_t channel, index_t first,
                            index_t last) {
  lane_row<T> sum[Channels], square[Channels], mean[Channels], pivot[Channels];
  for (int c = 0; c < Channels; ++c) {
    sum[c] = square[c] = lane_row<T>{};
    mean[c] = lane_row<T>{} + p.mean[channel + c];
    if constexpr (Differences) pivot[c] = lane_row<T>{} + p.pivot[channel + c];
  }
  const T* x = p.x.data + (first * p.x.step + channel) * lanes;
  const T* d = nullptr;
  if constexpr (Differences) d = p.d.data + (first * p.d.step + channel) * lanes;
  for (index_t i = first; i < last; ++i, x += p.x.step * lanes) {
    for (int c = 0; c < Channels; ++c) {
      const lane_row<T> centred = load(x + c * lanes) - mean[c];
      if constexpr (Differences) {
        const lane_row<T> change = load(d + c * lanes) - pivot[c];
        sum[c] += change;
        square[c] += change * ((centred + centred) + change);
      } else {
        sum[c] += centred;
        square[c] += centred * centred;
      }
    }
    if constexpr (Differences) d += p.d.step * lanes;
  }
  for (int c = 0; c < Channels; ++c) {
    double* const to = p.sums + (channel + c) * 2 * lanes;
    add_to<T>(to, sum[c]);
    add_to<T>(to + lanes, square[c]);
  }
}

template <bool Differences, class T>
inline void norm_sums_of(const norm_sums_loop<T>& p) {
  for (index_t first = 0; first < p.size.positions; first += positions_at_once) {
    const index_t end = first + positions_at_once;
    const index_t last = end < p.size.positions ? end : p.size.positions;
    index_t c = 0;
    for (; c + 4 <= p.size.channels; c += 4) norm_sums_block<4, Differences>(p, c, first, last);
    for (; c < p.size.channels; ++c) norm_sums_block<1, Differences>(p, c, first, last);
  }
}

template <class T>
void norm_sums(const norm_sums_loop<T>& p) {
  p.d.data != nullptr ? norm_sums_of<true>(p) : norm_sums_of<false>(p);
}

template <class T>
void norm(const norm_loop<T>& parameters) {
  const norm_loop<T> p = parameters;
  const index_t channels = p.size.channels;
  for (index_t i = 0; i < p.size.positions; ++i) {
    const T* const x = p.x.data + i * p.x.step * lanes;
    const T* const other =
        p.other.data == nullptr ? nullptr : p.other.data + i * p.other.step * lanes;
    for (index_t c = 0; c < channels; ++c) {
      const index_t at = (i * channels + c) * lanes;
      lane_row<T> y = (load(x + c * lanes) - p.mean[c]) * p.scale[c] + p.shift[c];
      if (other != nullptr) y += load(other + c * lanes);
      if (p.sum != nullptr) store(p.sum + at, y);
      const lane_row<T> zero{};
      store(p.out + at, p.rectified ? (y < zero ? zero : y) : y);
    }
  }
}

// Stores may change anything that is not a local variable: the loop works on a copy of its
// parameters.
template <bool Other, bool Rectified, bool Before, class T>
inline void norm_difference_of(const norm_difference_loop<T> p) {
  const T *x = p.x.data, *d = p.d.data, *other = p.other.data, *before = p.before.data;
  T* out = p.out;
  for (index_t i = 0; i < p.size.positions; ++i) {
    for (index_t c = 0; c < p.size.channels; ++c) {
      const lane_row<T> centred = load(x + c * lanes) - p.mean[c];
      lane_row<T> e = (load(d + c * lanes) - p.shift[c]) * p.scale[c] + p.rest[c];
      e += centred * p.slope[c];
      if constexpr (Other) e += load(other + c * lanes);
      if constexpr (Rectified) {
        lane_row<T> a;
        if constexpr (Before) {
          a = load(before + c * lanes);
        } else {
          a = centred * p.base_scale[c] + p.base_shift[c];
        }
        e = relu_difference<T>(a, e);
      }
      store(out + c * lanes, e);
    }
    x += p.x.step * lanes;
    d += p.d.step * lanes;
    if constexpr (Other) other += p.other.step * lanes;
    if constexpr (Before) before += p.before.step * lanes;
    out += p.out_step * lanes;
  }
}

template <class T>
void norm_difference(const norm_difference_loop<T>& p) {
  const bool other = p.other.data != nullptr, before = p.before.data != nullptr;
  if (!p.rectified) {
    other ? norm_difference_of<true, false, false>(p) : norm_difference_of<false, false, false>(p);
  } else if (other) {
    before ? norm_difference_of<true, true, true>(p) : norm_difference_of<true, true, false>(p);
  } else {
    before ? norm_difference_of<false, true, true>(p) : norm_difference_of<false, true, false>(p);
  }
}

template <class T>
void max_difference(const max_difference_loop<T>& parameters) {
  const max_difference_loop<T> p = parameters;
  T* out = p.out;
  for (index_t y = 0; y < p.height; ++y) {
    for (index_t x = 0; x < p.width; ++x) {
      const index_t corner = y * p.stride * p.in_width + x * p.stride;
      const T* const value = p.value.data + (y * p.width + x) * p.value.step * lanes;
      for (index_t c = 0; c < p.channels; ++c, out += lanes) {
        const lane_row<T> was = load(value + c * lanes);
        const T* base = p.base.data + (corner * p.base.step + c) * lanes;
        const T* d = p.d.data + (corner * p.d.step + c) * lanes;
        lane_row<T> best = above_maximum<T>(load(base), was, load(d));
        for (index_t row = 0; row < p.kernel; ++row) {
          for (index_t column = 0; column < p.kernel; ++column) {
            const index_t from = (row * p.in_width + column) * lanes;
            const lane_row<T> grown =
                above_maximum<T>(load(base + from * p.base.step), was, load(d + from * p.d.step));
            best = best > grown || best != best ? best : grown;
          }
        }
        store(out, best);
      }
    }
  }
}

using row_bits = std::uint32_t __attribute__((vector_size(64)));

// The upper half of a float, rounded to nearest even; NaN stays NaN.
inline row_bits rounded(lane_row<float> v) {
  row_bits bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  const row_bits nearest = bits + ((bits >> 16 & 1u) + 0x7fffu);
  return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : nearest;
}

void round_to_pairs(index_t positions, index_t channels, const float* in, bfloat16_pair* out) {
  for (index_t i = 0; i < positions; ++i) {
    for (index_t c = 0; c < channels; c += 2, out += lanes) {
      row_bits both = rounded(load(in + c * lanes)) >> 16;
      if (c + 1 < channels) both |= rounded(load(in + (c + 1) * lanes)) & 0xffff0000u;
      __builtin_memcpy(out, &both, sizeof both);
    }
    in += channels * lanes;
  }
}

pair_loops all_pair_loops() { return {&round_to_pairs, &convolve<float, bfloat16_pair>}; }

template <class T>
loops<T> all_loops() {
  return {&convolve<T>, &convolve_tiles<T>,  &norm_sums<T>,
          &norm<T>,     &norm_difference<T>, &max_difference<T>};
}

}  // namespace
}  // namespace zo::nn::detail
