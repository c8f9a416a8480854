// Directions in pieces of one lane: the work of one GPU thread. The compiled CPU kernels do the
// same arithmetic sixteen lanes at a time; both give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/random.hpp"

namespace zo::detail {

/// Adds weighted directions to the coordinates of one lane:
///   out[i] = fma(weights[k], raw value i of direction from.number + k, ...) from x[i], k ascending
/// for `count` coordinates from `first` on (a multiple of `tile`); arrays start at `first`, and
/// `out` may be `x`, and a null x stands for zeros. Item 0 … items()-1 in any order or
/// concurrently: each coordinate belongs to one item. The running sums stay in registers, so one
/// call reads x once and writes out once, whatever the number of directions; sums in T are rounded
/// once to what is stored. Neighbouring items are neighbouring lanes, which read and write runs of
/// 16 coordinates.
template <class T, law Kind, class Stored = T>
struct lane_sum {
  stream from;
  index_t directions = 1;
  const T* weights = nullptr;
  index_t first = 0;
  index_t count = 0;
  const Stored* x = nullptr;
  Stored* out = nullptr;

  // A counter block holds 4 normals or 128 signs; an item takes 4 or, for the sake of registers and
  // of work for many threads, the 32 signs of one word.
  static constexpr int values = Kind == law::gaussian ? 4 : 32;
  static constexpr index_t group = lanes * values_per_block(Kind);
  static constexpr index_t items_per_group = group / values;

  ZO_HD constexpr index_t items() const { return (count + group - 1) / group * items_per_group; }

  ZO_HD void operator()(index_t item) const {
    const index_t lane = item % lanes;
    const index_t word = item % items_per_group / lanes;
    const index_t start = item / items_per_group * group + word * (values * lanes) + lane;
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
      add(weights[k], at.words(block), static_cast<int>(word), sum);
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

 private:
  ZO_HD static void add(T weight, const words4<std::uint32_t>& words, int word, T* sum) {
    if constexpr (Kind == law::gaussian) {
      float value[4];
      block_normals(words, value);
      for (int v = 0; v < 4; ++v) sum[v] = fused(weight, static_cast<T>(value[v]), sum[v]);
    } else {
      // Shifts, not an array: a GPU keeps what is indexed at run time in memory.
      const std::uint64_t pair = word < 2 ? std::uint64_t{words.w1} << 32 | words.w0
                                          : std::uint64_t{words.w3} << 32 | words.w2;
      const auto signs = static_cast<std::uint32_t>(pair >> (32 * (word % 2)));
      for (int v = 0; v < 32; ++v) sum[v] += signs >> (31 - v) & 1u ? -weight : weight;
    }
  }
};

/// Sum of squares of the raw normals of one lane of one tile; lane_tree() of the sixteen lanes is
/// the sum of the tile.
struct lane_squares {
  stream from;
  index_t count = 0;  ///< coordinates of the whole direction

  /// item = tile number * lanes + lane
  ZO_HD double operator()(index_t item) const {
    const index_t lane = item % lanes;
    const index_t first = item / lanes * tile;
    const index_t end = count < first + tile ? count : first + tile;
    double sum = 0;
    for (index_t at = first; at < end; at += gaussian_group) {
      const auto words = from.words(static_cast<std::uint32_t>(at / gaussian_group * lanes + lane));
      float value[4];
      block_normals(words, value);
      for (int v = 0; v < 4; ++v) {
        const double one = at + v * lanes + lane < end ? value[v] : 0.0;
        sum += one * one;  // exact: fused or not, the same bits
      }
    }
    return sum;
  }
};

}  // namespace zo::detail
