// Standard normals, many lanes at a time.
#pragma once

#include "law/kernel.hpp"
#include "zo/direction_lane.hpp"

namespace zo::detail {
namespace {

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

// out = x + sum over k of weights[k] * direction k, on one group of 64 coordinates, of which
// `count` exist. The running sums stay in registers over all directions.
template <bool Whole, class T>
void gaussian_group_sum(const stream& from, index_t directions, const T* weights, index_t group,
                        index_t count, const T* x, T* out) {
  for (index_t lane = 0; lane < lanes; lane += pack::lanes) {
    row<T> sum[4];
    for (int v = 0; v < 4; ++v) {
      const index_t at = v * lanes + lane;
      sum[v] = Whole ? row<T>::load(x + at) : row<T>::load_first(x + at, count - at);
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

// Sixteen partial sums, one a lane, over the groups of one tile; then a fixed tree. The square of a
// float is exact in double, so that a fused and a separate addition agree.
inline double gaussian_squares(const stream& from, index_t first, index_t count) {
  double sum[lanes];
  for (index_t lane = 0; lane < lanes; lane += pack::lanes) {
    auto partial = row<double>::zero();
    for (index_t done = 0; done < count; done += group_of_law<gaussian>) {
      const normals n = group_normals(from, (first + done) / group_of_law<gaussian> * lanes + lane);
      for (int v = 0; v < 4; ++v) {
        partial = partial.add_square(pack::first(n.value[v], count - done - v * lanes - lane));
      }
    }
    partial.store(sum + lane);
  }
  return lane_tree(sum);
}

template <>
struct law_kernel<gaussian> {
  template <class T>
  static void sum(const stream& from, index_t directions, const T* weights, index_t group,
                  index_t count, const T* x, T* out) {
    if (count == group_of_law<gaussian>) {
      gaussian_group_sum<true>(from, directions, weights, group, count, x, out);
    } else {
      gaussian_group_sum<false>(from, directions, weights, group, count, x, out);
    }
  }
  static double squares(const stream& from, index_t first, index_t count) {
    return gaussian_squares(from, first, count);
  }
};

}  // namespace
}  // namespace zo::detail
