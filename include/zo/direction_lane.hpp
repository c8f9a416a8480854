// Directions in pieces of one lane: the work of one GPU thread. The compiled CPU kernels do the
// same arithmetic sixteen lanes at a time; both give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "zo/config.hpp"
#include "zo/law.hpp"
#include "zo/random.hpp"

// nvcc only warns when device code calls an each() of the host, and makes it answer nothing.
#if defined(__NVCC__)
#pragma nv_diagnostic push
#pragma nv_diag_error 20011, 20012, 20013, 20014, 20015
#endif

namespace zo::detail {

/// Adds weighted directions to the coordinates of one lane:
///   out[i] = fma(weights[k], raw value i of direction from.number + k, ...) from x[i], k ascending
/// for `count` coordinates from `first` on (a multiple of `tile`); arrays start at `first`, and
/// `out` may be `x`, and a null x stands for zeros. Item 0 … items()-1 in any order or
/// concurrently: each coordinate belongs to one item. The running sums stay in registers, so one
/// call reads x once and writes out once, whatever the number of directions; sums in T are rounded
/// once to what is stored. Neighbouring items are neighbouring lanes, which read and write runs of
/// 16 coordinates.
template <class T, direction_law L, class Stored = T>
struct lane_sum {
  stream from;
  index_t directions = 1;
  const T* weights = nullptr;
  index_t first = 0;
  index_t count = 0;
  const Stored* x = nullptr;
  Stored* out = nullptr;

  // An item takes one piece of a counter block, for the sake of registers and of work for many
  // threads.
  static constexpr int values = L::values;
  static constexpr index_t group = group_of_law<L>;
  static constexpr index_t items_per_group = group / values;

  ZO_HD constexpr index_t items() const { return (count + group - 1) / group * items_per_group; }

  ZO_HD void operator()(index_t item) const {
    const index_t lane = item % lanes;
    const index_t piece = item % items_per_group / lanes;
    const index_t start = item / items_per_group * group + piece * (values * lanes) + lane;
    if (start >= count) return;
    const auto block =
        static_cast<std::uint32_t>((first / group + item / items_per_group) * lanes + lane);
    // Most items are whole: without a test for each value they cost half as much on a GPU.
    const bool whole = start + (values - 1) * lanes < count;
    T sum[std::size_t{values}];
    if (x == nullptr) {
      for (int v = 0; v < values; ++v) sum[v] = T(0);
    } else if (whole) {
      const Stored* const in = x + start;
      for (int v = 0; v < values; ++v) sum[v] = static_cast<T>(in[v * lanes]);
    } else {
      for (int v = 0; v < values; ++v) {
        const index_t at = start + v * lanes;
        sum[v] = at < count ? static_cast<T>(x[at]) : T(0);
      }
    }
    stream at = from;
    for (index_t k = 0; k < directions; ++k, ++at.number) {
      const T weight = weights[k];
      L::each(at.words(block), static_cast<int>(piece),
              [&](int v, float value) { sum[v] = fused(weight, static_cast<T>(value), sum[v]); });
    }
    Stored* const to = out + start;
    if (whole) {
      for (int v = 0; v < values; ++v) to[v * lanes] = static_cast<Stored>(sum[v]);
    } else {
      for (int v = 0; v < values; ++v) {
        if (start + v * lanes < count) to[v * lanes] = static_cast<Stored>(sum[v]);
      }
    }
  }
};

// One level of the tree that adds the sums of the lanes of a tile, in the one order that every
// machine uses. Lanes of a level are independent; on a GPU a barrier parts the levels.
ZO_HD inline void lane_tree_level(double* sum, index_t lane, index_t half) {
  if (lane < half) sum[lane] += sum[lane + half];
}
inline double lane_tree(double* sum) {
  for (index_t half = lanes / 2; half >= 1; half /= 2) {
    for (index_t lane = 0; lane < half; ++lane) lane_tree_level(sum, lane, half);
  }
  return sum[0];
}

/// Sum of squares of the raw values of one lane of one tile; lane_tree() of the sixteen lanes is
/// the sum of the tile.
template <direction_law L>
struct lane_squares {
  stream from;
  index_t count = 0;  ///< coordinates of the whole direction

  /// item = tile number * lanes + lane
  ZO_HD double operator()(index_t item) const {
    const index_t lane = item % lanes;
    const index_t first = item / lanes * tile;
    const index_t end = count < first + tile ? count : first + tile;
    double sum = 0;
    for (index_t at = first; at < end; at += group_of_law<L>) {
      const auto words =
          from.words(static_cast<std::uint32_t>(at / group_of_law<L> * lanes + lane));
      for (int piece = 0; piece < L::pieces; ++piece) {
        L::each(words, piece, [&](int v, float value) {
          const index_t i = at + (piece * L::values + v) * lanes + lane;
          const double one = i < end ? value : 0.0;
          sum += one * one;  // exact: fused or not, the same bits
        });
      }
    }
    return sum;
  }
};

}  // namespace zo::detail

#if defined(__NVCC__)
#pragma nv_diagnostic pop
#endif
