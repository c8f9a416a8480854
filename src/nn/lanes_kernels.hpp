// The loops over lane rows for one instruction set. Raw pointers and built-ins only, as in
// direction_kernels.hpp.
#pragma once

#include "lanes.hpp"
#include "simd/pack.hpp"

namespace zo::nn::detail {
namespace {

using zo::detail::part;

// body(0), body(1), …, one after another and not as a loop: arrays that it indexes stay in
// registers.
template <int Count, class Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  if constexpr (Count > 0) {
    unrolled<Count - 1>(body);
    body(Count - 1);
  }
}

// Eight channels of three positions are 24 sums, and what they are made of.
inline constexpr int channels_at_once = zo::detail::registers == 32 ? 8 : 4;

// Channels x Positions lane rows (their parts of one register) stay in registers over all taps.
template <int Channels, int Positions, class T>
inline void convolve_block(const convolution_loop<T>& p, const position_run& run, index_t block,
                           index_t first, index_t offset) {
  using V = part<T>;
  V sum[Channels][Positions];
  const index_t channel = block * block_channels + first;
  unrolled<Channels>([&](int o) {
    const bool has = p.bias != nullptr && channel + o < p.out_channels;
    const V start = V(has ? p.bias[channel + o] : T(0));
    unrolled<Positions>([&](int i) { sum[o][i] = start; });
  });
  const index_t weight_row = p.kernel * p.all_channels * block_channels;
  const T* weights = p.weights + block * p.kernel_rows * weight_row + run.row * weight_row +
                     run.tap * p.all_channels * block_channels + first;
  const T* in = p.in + run.in * p.in_channels * lanes + offset;
  const index_t next = run.in_stride * p.in_channels * lanes;
  const index_t depth = run.taps * p.in_channels;
  for (int row = 0; row < run.rows; ++row) {
    const T* w = weights;
    const T* x = in;
    for (index_t k = 0; k < depth; ++k, w += p.weight_step, x += lanes) {
      V value[Positions];
      unrolled<Positions>([&](int i) { value[i] = V::load(x + i * next); });
      unrolled<Channels>([&](int o) {
        const V factor = V(w[o]);
        unrolled<Positions>([&](int i) { sum[o][i] = fused(factor, value[i], sum[o][i]); });
      });
    }
    weights += weight_row;
    in += p.in_row * p.in_channels * lanes;
  }
  T* const out = p.out + run.out * p.out_channels * lanes + offset;
  const index_t step = run.out_stride * p.out_channels * lanes;
  unrolled<Channels>([&](int o) {
    if (channel + o >= p.out_channels) return;
    unrolled<Positions>([&](int i) { sum[o][i].store(out + i * step + (channel + o) * lanes); });
  });
}

template <class T>
void convolve(const convolution_loop<T>& p) {
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

// As much of a lane row as one register holds: whole rows, that the compiler would have to cut, go
// through memory. Operations are rounded one by one.
inline constexpr int register_bytes = part<float>::width > 1
                                          ? part<float>::width* static_cast<int>(sizeof(float))
                                          : 16;
template <class T>
struct vector_type;
template <>
struct vector_type<float> {
  using type = float __attribute__((vector_size(register_bytes)));
};
template <>
struct vector_type<double> {
  using type = double __attribute__((vector_size(register_bytes)));
};
template <class T>
using vec = typename vector_type<T>::type;
template <class T>
inline constexpr index_t width_of = register_bytes / sizeof(T);

template <class T>
inline vec<T> load(const T* p) {
  vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
inline void store(T* p, const V& v) {
  __builtin_memcpy(p, &v, sizeof v);
}
// What a loop that does little arithmetic will need soon: the processor by itself asks too late,
// and for what is written only when it is written.
template <class T>
inline void ask_for(const T* p) {
  constexpr index_t ahead = 4096 / sizeof(T);
  __builtin_prefetch(p + ahead, 0, 2);
}
template <class T>
inline void add_to(double* sum, const vec<T>& v) {
  T parts[width_of<T>];
  store(parts, v);
  for (index_t k = 0; k < width_of<T>; ++k) sum[k] += static_cast<double>(parts[k]);
}

// As those of zo/nn/layer/, which are not included here: compiled for one instruction set,
// they would be those of the whole library.
template <class T>
inline vec<T> relu_difference(const vec<T>& base, const vec<T>& change) {
  const vec<T> zero{};
  const vec<T> least = base > zero ? -base : zero;
  const vec<T> moved = base > zero ? change + (base - base) : base + change;
  return moved < least ? least : moved;
}
template <class T>
inline vec<T> above_maximum(const vec<T>& base, const vec<T>& value, const vec<T>& change) {
  const vec<T> gap = base - value, part = gap - base, zero{};
  const vec<T> left = (base - (gap - part)) - (value + part), sum = gap + change;
  return gap - gap == zero ? sum + left : sum;
}

// Where lane rows of a tile begin: of the input row y, transformed, and of the six sums of outputs.
template <class T>
inline T* transformed_at(const tile_loop<T>& p, index_t y, index_t sum) {
  return p.transformed + (y % 4 * sums_of_tile + sum) * (p.width / tile) * p.in_channels * lanes;
}
template <class T>
inline T* sums_at(const tile_loop<T>& p, index_t sum) {
  const index_t row = p.width / tile * lanes;
  return p.transformed + (4 * sums_of_tile * p.in_channels + sum * p.out_channels) * row;
}

// One row of the input: from six neighbouring values of a tile, zeros beside the image, what its
// six sums multiply.
template <class T>
inline void transform_row(const tile_loop<T> p, index_t y) {
  const index_t channels = p.in_channels, tiles = p.width / tile;
  const T* const row = p.in + y * p.width * channels * lanes;
  const index_t step = channels * lanes, next = tiles * step;
  for (index_t t = 0; t < tiles; ++t) {
    const T* const at = row + t * tile * step;
    T* const to = transformed_at(p, y, 0) + t * step;
    const bool left = t > 0, right = t + 1 < tiles;
    for (index_t k = 0; k < step; k += width_of<T>) {
      const vec<T> zero{};
      const vec<T> d0 = left ? load(at + k - step) : zero;
      const vec<T> d1 = load(at + k), d2 = load(at + k + step), d3 = load(at + k + 2 * step);
      const vec<T> d4 = load(at + k + 3 * step);
      const vec<T> d5 = right ? load(at + k + 4 * step) : zero;
      const vec<T> even = d4 - d2 * T(4), odd = d3 - d1 * T(4);
      const vec<T> near = d4 - d2, twice = (d3 - d1) * T(2);
      store(to + k, d0 * T(4) - d2 * T(5) + d4);
      store(to + k + next, even + odd);
      store(to + k + 2 * next, even - odd);
      store(to + k + 3 * next, near + twice);
      store(to + k + 4 * next, near - twice);
      store(to + k + 5 * next, d1 * T(4) - d3 * T(5) + d5);
    }
  }
}

// One of the six sums of output row y, over rows of taps and channels: for Channels channels and
// Parts registers of the row's tiles, from the one numbered `from`.
template <int Channels, int Parts, class T>
inline void sum_tiles(const tile_loop<T>& p, index_t y, index_t sum, index_t block, index_t first,
                      index_t from) {
  using V = part<T>;
  constexpr index_t parts = lanes / V::width;
  const index_t channels = p.in_channels;
  V sums[Channels][Parts];
  unrolled<Channels>([&](int o) { unrolled<Parts>([&](int i) { sums[o][i] = V(T(0)); }); });
  for (index_t ky = y == 0 ? 1 : 0; ky < 3 && y + ky - 1 < p.height; ++ky) {
    const T* x[Parts];
    unrolled<Parts>([&](int i) {
      x[i] = transformed_at(p, y + ky - 1, sum) + (from + i) / parts * channels * lanes +
             (from + i) % parts * V::width;
    });
    const T* w =
        p.weights + ((block * sums_of_tile + sum) * 3 + ky) * channels * block_channels + first;
    for (index_t c = 0; c < channels; ++c, w += block_channels) {
      V value[Parts];
      unrolled<Parts>([&](int i) { value[i] = V::load(x[i] + c * lanes); });
      unrolled<Channels>([&](int o) {
        const V factor = V(w[o]);
        unrolled<Parts>([&](int i) { sums[o][i] = fused(factor, value[i], sums[o][i]); });
      });
    }
  }
  T* to[Parts];
  unrolled<Parts>([&](int i) {
    to[i] = sums_at(p, sum) + (from + i) / parts * p.out_channels * lanes +
            (from + i) % parts * V::width;
  });
  const index_t channel = block * block_channels + first;
  unrolled<Channels>([&](int o) {
    if (channel + o >= p.out_channels) return;
    unrolled<Parts>([&](int i) { sums[o][i].store(to[i] + (channel + o) * lanes); });
  });
}

// Output row y from its sums.
template <class T>
inline void combine_sums(const tile_loop<T> p, index_t y) {
  using V = part<T>;
  const index_t step = p.out_channels * lanes, tiles = p.width / tile, next = tiles * step;
  const T* from = sums_at(p, 0);
  T* to = p.out + y * p.width * step;
  for (index_t t = 0; t < tiles; ++t, to += tile * step, from += step) {
    for (index_t k = 0; k < step; k += V::width) {
      const V s1 = V::load(from + k + next), s2 = V::load(from + k + 2 * next);
      const V s3 = V::load(from + k + 3 * next), s4 = V::load(from + k + 4 * next);
      const V even = s1 + s2, odd = s1 - s2, even_next = s3 + s4, odd_next = s3 - s4;
      ((V::load(from + k) + even) + even_next).store(to + k);
      fused(V(T(2)), odd_next, odd).store(to + k + step);
      fused(V(T(4)), even_next, even).store(to + k + 2 * step);
      (fused(V(T(8)), odd_next, odd) + V::load(from + k + 5 * next)).store(to + k + 3 * step);
    }
  }
}

// The weights of a sum stay near over the row, and so does what they meet over all channels.
template <class T>
void convolve_tiles(const tile_loop<T>& p) {
  const index_t parts = p.width / tile * (lanes / part<T>::width);
  for (index_t y = p.first; y < p.first + p.count; ++y) {
    if (y == 0) transform_row(p, 0);
    if (y + 1 < p.height) transform_row(p, y + 1);
    for (index_t sum = 0; sum < sums_of_tile; ++sum) {
      for (index_t block = 0; block * block_channels < p.out_channels; ++block) {
        for (index_t first = 0; first < block_channels; first += channels_at_once) {
          index_t from = 0;
          for (; parts - from > 4 || parts - from == 3; from += 3) {
            sum_tiles<channels_at_once, 3>(p, y, sum, block, first, from);
          }
          for (; parts - from >= 2; from += 2) {
            sum_tiles<channels_at_once, 2>(p, y, sum, block, first, from);
          }
          if (from < parts) sum_tiles<channels_at_once, 1>(p, y, sum, block, first, from);
        }
      }
    }
    combine_sums(p, y);
  }
}

// Sums in T over this many positions, then in double: no longer sum in T, for its rounding.
inline constexpr index_t positions_at_once = 32;

// As many channels together as keep both sums in half of the registers.
template <class T>
inline constexpr int summed_channels = zo::detail::registers / 4 * width_of<T> > lanes
                                           ? static_cast<int>(zo::detail::registers / 4 *
                                                              width_of<T> / lanes)
                                           : 1;

template <int Channels, bool Differences, class T>
inline void norm_sums_block(const norm_sums_loop<T>& p, index_t channel, index_t first,
                            index_t last) {
  constexpr int parts = lanes / width_of<T>;
  vec<T> sum[Channels * parts]{}, square[Channels * parts]{};
  const T* x = p.x.data + (first * p.x.step + channel) * lanes;
  const T* d = nullptr;
  if constexpr (Differences) d = p.d.data + (first * p.d.step + channel) * lanes;
  for (index_t i = first; i < last; ++i, x += p.x.step * lanes) {
    unrolled<Channels * parts>([&](int k) {
      const vec<T> centred = load(x + k * width_of<T>) - p.mean[channel + k / parts];
      if constexpr (Differences) {
        const vec<T> change = load(d + k * width_of<T>) - p.pivot[channel + k / parts];
        sum[k] += change;
        square[k] += change * ((centred + centred) + change);
      } else {
        sum[k] += centred;
        square[k] += centred * centred;
      }
    });
    if constexpr (Differences) d += p.d.step * lanes;
  }
  unrolled<Channels * parts>([&](int k) {
    double* const to = p.sums + (channel + k / parts) * 2 * lanes + k % parts * width_of<T>;
    add_to<T>(to, sum[k]);
    add_to<T>(to + lanes, square[k]);
  });
}

template <bool Differences, class T>
inline void norm_sums_of(const norm_sums_loop<T>& parameters) {
  const norm_sums_loop<T> p = parameters;
  constexpr int together = summed_channels<T>;
  for (index_t first = 0; first < p.size.positions; first += positions_at_once) {
    const index_t end = first + positions_at_once;
    const index_t last = end < p.size.positions ? end : p.size.positions;
    index_t c = 0;
    for (; c + together <= p.size.channels; c += together) {
      norm_sums_block<together, Differences>(p, c, first, last);
    }
    for (; c < p.size.channels; ++c) norm_sums_block<1, Differences>(p, c, first, last);
  }
}

template <class T>
void norm_sums(const norm_sums_loop<T>& p) {
  p.d.data != nullptr ? norm_sums_of<true>(p) : norm_sums_of<false>(p);
}

// Stores may change anything that is not a local variable: the loop works on a copy of its
// parameters.
template <bool Other, bool Sum, bool Rectified, class T>
inline void norm_of(const norm_loop<T> p) {
  const T *x = p.x.data, *other = p.other.data;
  T *sum = p.sum, *out = p.out;
  const index_t row = p.size.channels * lanes;
  for (index_t i = 0; i < p.size.positions; ++i) {
    for (index_t c = 0; c < p.size.channels; ++c) {
      for (index_t k = c * lanes; k < (c + 1) * lanes; k += width_of<T>) {
        ask_for(x + k);
        if constexpr (Other) ask_for(other + k);
        if constexpr (Sum) ask_for(sum + k);
        ask_for(out + k);
        vec<T> y = (load(x + k) - p.mean[c]) * p.scale[c] + p.shift[c];
        if constexpr (Other) y += load(other + k);
        if constexpr (Sum) store(sum + k, y);
        const vec<T> zero{};
        if constexpr (Rectified) y = y < zero ? zero : y;
        store(out + k, y);
      }
    }
    x += p.x.step * lanes;
    if constexpr (Other) other += p.other.step * lanes;
    if constexpr (Sum) sum += row;
    out += row;
  }
}

template <class T>
void norm(const norm_loop<T>& p) {
  if (p.sum != nullptr) return norm_of<true, true, true>(p);
  if (p.other.data != nullptr) return norm_of<true, false, false>(p);
  p.rectified ? norm_of<false, false, true>(p) : norm_of<false, false, false>(p);
}

template <bool Other, bool Rectified, bool Before, class T>
inline void norm_difference_of(const norm_difference_loop<T> p) {
  const T *x = p.x.data, *d = p.d.data, *other = p.other.data, *before = p.before.data;
  T* out = p.out;
  for (index_t i = 0; i < p.size.positions; ++i) {
    for (index_t c = 0; c < p.size.channels; ++c) {
      for (index_t k = c * lanes; k < (c + 1) * lanes; k += width_of<T>) {
        const vec<T> centred = load(x + k) - p.mean[c];
        vec<T> e = (load(d + k) - p.shift[c]) * p.scale[c] + p.rest[c];
        e += centred * p.slope[c];
        if constexpr (Other) e += load(other + k);
        if constexpr (Rectified) {
          vec<T> a;
          if constexpr (Before) {
            a = load(before + k);
          } else {
            a = centred * p.base_scale[c] + p.base_shift[c];
          }
          e = relu_difference<T>(a, e);
        }
        store(out + k, e);
      }
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
        for (index_t k = 0; k < lanes; k += width_of<T>) {
          const vec<T> was = load(value + c * lanes + k);
          const T* base = p.base.data + (corner * p.base.step + c) * lanes + k;
          const T* d = p.d.data + (corner * p.d.step + c) * lanes + k;
          vec<T> best = above_maximum<T>(load(base), was, load(d));
          for (index_t row = 0; row < p.kernel; ++row) {
            for (index_t column = 0; column < p.kernel; ++column) {
              const index_t from = (row * p.in_width + column) * lanes;
              const vec<T> grown =
                  above_maximum<T>(load(base + from * p.base.step), was, load(d + from * p.d.step));
              best = best > grown || best != best ? best : grown;
            }
          }
          store(out + k, best);
        }
      }
    }
  }
}

template <class T>
void scale(const scale_loop<T>& parameters) {
  const scale_loop<T> p = parameters;
  for (index_t y = 0; y < p.rows; ++y) {
    const T* from = p.from.data + y * p.from.next * lanes;
    T* out = p.out + y * p.out_next * lanes;
    for (index_t x = 0; x < p.positions; ++x, from += p.from.step * lanes, out += lanes) {
      for (index_t k = 0; k < lanes; k += width_of<T>) store(out + k, load(from + k) * p.factor);
    }
  }
}

template <class T>
void pair(const pair_loop<T>& parameters) {
  const pair_loop<T> p = parameters;
  constexpr int parts = lanes / width_of<T>;
  for (index_t y = 0; y < p.rows; ++y) {
    const T* d = p.d.data + y * p.d.next * lanes;
    const T* c = p.c.data + y * p.c.next * lanes;
    vec<T> sum[parts]{};
    for (index_t x = 0; x < p.positions; ++x) {
      for (index_t channel = 0; channel < p.channels; ++channel) {
        unrolled<parts>([&](int k) {
          const index_t at = channel * lanes + k * width_of<T>;
          sum[k] += load(d + at) * p.factor * load(c + at);
        });
      }
      d += p.d.step * lanes;
      c += p.c.step * lanes;
    }
    unrolled<parts>([&](int k) { add_to<T>(p.sums + k * width_of<T>, sum[k]); });
  }
}

template <class T>
loops<T> all_loops() {
  return {&convolve<T>,        &convolve_tiles<T>, &norm_sums<T>, &norm<T>,
          &norm_difference<T>, &max_difference<T>, &scale<T>,     &pair<T>};
}

}  // namespace
}  // namespace zo::nn::detail
