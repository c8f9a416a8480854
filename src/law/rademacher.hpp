// Random signs, many lanes at a time.
#pragma once

#include "law/kernel.hpp"

namespace zo::detail {
namespace {

// Several directions at a time on one group of 2048 coordinates: each element is loaded and stored
// once for all of them.
template <int Several, class T>
void rademacher_group_add(const stream& from, const T* weights, index_t group, index_t count,
                          const T* x, T* out) {
  for (index_t lane = 0; lane < lanes && lane < count; lane += pack::lanes) {
    pack::u32 word[4][Several] = {};
    for (index_t k = 0; k < Several; ++k) {
      const auto w = group_words(with_number(from, from.number + k), group * lanes + lane);
      word[0][k] = w.w0, word[1][k] = w.w1, word[2][k] = w.w2, word[3][k] = w.w3;
    }
    const auto add = [&](row<T> sum, int position) {
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
      for (; at <= whole; at += lanes) add(row<T>::load(x + at), position).store(out + at);
      if (at < end && at < count) {  // fewer than a pack are left
        add(row<T>::load_first(x + at, count - at), position).store_first(out + at, count - at);
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

template <>
struct law_kernel<rademacher> {
  template <class T>
  static void sum(const stream& from, index_t directions, const T* weights, index_t group,
                  index_t count, const T* x, T* out) {
    rademacher_group_sum(from, directions, weights, group, count, x, out);
  }
  static double squares(const stream&, index_t, index_t count) {
    return static_cast<double>(count);
  }
};

}  // namespace
}  // namespace zo::detail
