// The direction kernels, written once over a SIMD pack. Included by one source file per instruction
// set; raw pointers and built-ins only, so that no inline function of the standard library is
// compiled with flags that other machines lack.
#pragma once

#include "direction_table.hpp"
#include "simd.hpp"
#include "zo/direction.hpp"

namespace zo::detail {
namespace {

inline words4<pack::u32> group_words(const stream& from, index_t block) {
  const auto constant = from.counter(0);
  const words4<pack::word> counter{pack::counters(static_cast<std::uint32_t>(block)),
                                   pack::broadcast(constant.w1), pack::broadcast(constant.w2),
                                   pack::broadcast(constant.w3)};
  const auto out = philox4x32_10(counter, from.key0(), from.key1());
  return {pack::merge(out.w0), pack::merge(out.w1), pack::merge(out.w2), pack::merge(out.w3)};
}

// The four normals of each of pack::lanes counters.
struct normals {
  pack::f32 value[4];
};
inline normals group_normals(const stream& from, index_t block) {
  const words4<pack::u32> word = group_words(from, block);
  normals n;
  normal_pair(word.w0, word.w1, n.value[0], n.value[1]);
  normal_pair(word.w2, word.w3, n.value[2], n.value[3]);
  return n;
}

inline stream with_number(stream from, index_t number) {
  from.number = static_cast<std::uint32_t>(number);
  return from;
}

// Runs body(group, count, in, to) on every group; the last one may have fewer coordinates.
template <index_t Group, class T, class Body>
void for_groups(index_t first, index_t count, const T* x, T* out, Body body) {
  for (index_t done = 0; done < count; done += Group) {
    const index_t here = count - done < Group ? count - done : Group;
    body((first + done) / Group, here, x + done, out + done);
  }
}

// out = x + sum over k of weights[k] * direction k, on one group of 64 coordinates, of which
// `count` exist. The running sums stay in registers over all directions.
template <bool Whole, class T>
void gaussian_group_sum(const stream& from, index_t directions, const T* weights, index_t group,
                        index_t count, const T* x, T* out) {
  using row = typename pack::template row<T>;
  for (index_t lane = 0; lane < lanes; lane += pack::lanes) {
    row sum[4];
    for (int v = 0; v < 4; ++v) {
      const index_t at = v * lanes + lane;
      sum[v] = Whole ? row::load(x + at) : row::load_first(x + at, count - at);
    }
    for (index_t k = 0; k < directions; ++k) {
      const normals n = group_normals(with_number(from, from.number + k), group * lanes + lane);
      for (int v = 0; v < 4; ++v) sum[v] = sum[v].fma(weights[k], n.value[v]);
    }
    for (int v = 0; v < 4; ++v) {
      const index_t at = v * lanes + lane;
      Whole ? sum[v].store(out + at) : sum[v].store_first(out + at, count - at);
    }
  }
}

// The same for signs on one group of 2048 coordinates, Several directions at a time: each element
// is loaded and stored once for all of them.
template <int Several, class T>
void rademacher_group_add(const stream& from, const T* weights, index_t group, index_t count,
                          const T* x, T* out) {
  using row = typename pack::template row<T>;
  for (index_t lane = 0; lane < lanes && lane < count; lane += pack::lanes) {
    pack::u32 word[4][Several] = {};
    for (index_t k = 0; k < Several; ++k) {
      const auto w = group_words(with_number(from, from.number + k), group * lanes + lane);
      word[0][k] = w.w0, word[1][k] = w.w1, word[2][k] = w.w2, word[3][k] = w.w3;
    }
    const auto add = [&](row sum, int position) {
      for (index_t k = 0; k < Several; ++k) {
        sum = sum.add_signed(weights[k], word[position][k]);
        word[position][k] = word[position][k] << 1;
      }
      return sum;
    };
    index_t at = lane;
    for (int position = 0; position < 4; ++position) {
      const index_t end = (position + 1) * 32 * lanes;
      const index_t whole = (end < count ? end : count) - pack::lanes;
      for (; at <= whole; at += lanes) add(row::load(x + at), position).store(out + at);
      if (at < end && at < count) {  // fewer than a pack are left
        add(row::load_first(x + at, count - at), position).store_first(out + at, count - at);
        break;
      }
    }
  }
}

template <class T>
void rademacher_group_sum(const stream& from, index_t directions, const T* weights, index_t group,
                          index_t count, const T* x, T* out) {
  const T* source = x;
  index_t k = 0;
  for (; k + 4 <= directions; k += 4, source = out) {
    rademacher_group_add<4>(with_number(from, from.number + k), weights + k, group, count, source,
                            out);
  }
  for (; k < directions; ++k, source = out) {
    rademacher_group_add<1>(with_number(from, from.number + k), weights + k, group, count, source,
                            out);
  }
}

template <class T>
void sum_kernel(law kind, const stream& from, index_t directions, const T* weights, index_t first,
                index_t count, const T* x, T* out) {
  if (kind == law::gaussian) {
    for_groups<gaussian_group>(
        first, count, x, out, [&](index_t group, index_t n, const T* in, T* to) {
          if (n == gaussian_group) {
            gaussian_group_sum<true>(from, directions, weights, group, n, in, to);
          } else {
            gaussian_group_sum<false>(from, directions, weights, group, n, in, to);
          }
        });
  } else {
    for_groups<rademacher_group>(
        first, count, x, out, [&](index_t group, index_t n, const T* in, T* to) {
          rademacher_group_sum(from, directions, weights, group, n, in, to);
        });
  }
}

// Sixteen partial sums, one a lane, over the groups of one tile; then a fixed tree. The square of a
// float is exact in double, so that a fused and a separate addition agree.
inline double squares_kernel(const stream& from, index_t first, index_t count) {
  double sum[lanes];
  for (index_t lane = 0; lane < lanes; lane += pack::lanes) {
    auto partial = pack::row<double>::zero();
    for (index_t done = 0; done < count; done += gaussian_group) {
      const normals n = group_normals(from, (first + done) / gaussian_group * lanes + lane);
      for (int v = 0; v < 4; ++v) {
        partial = partial.add_square(pack::first(n.value[v], count - done - v * lanes - lane));
      }
    }
    partial.store(sum + lane);
  }
  return lane_tree(sum);
}

// Without their signs, the bits of floating-point numbers are ordered as the numbers are, and those
// of NaN are above all.
template <class T, class Bits>
T largest_kernel(index_t count, const T* x) {
  Bits most = 0;
  for (index_t i = 0; i < count; ++i) {
    Bits bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    bits = static_cast<Bits>(bits & ~(Bits{1} << (8 * sizeof(Bits) - 1)));
    most = bits > most ? bits : most;
  }
  T value;
  __builtin_memcpy(&value, &most, sizeof value);
  return value;
}

inline kernel_table make_kernel_table() {
  return {&sum_kernel<float>, &sum_kernel<double>, &squares_kernel,
          &largest_kernel<float, std::int32_t>, &largest_kernel<double, std::int64_t>};
}

}  // namespace
}  // namespace zo::detail
