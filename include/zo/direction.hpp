// Random directions u and their sums: pure functions of (seed, step, number).
//
// Values have float precision in every scalar type, and are the same bits on every machine: only
// exactly rounded operations are used (conversions, +, *, sqrt, explicit fma), never a library
// function.
#pragma once

#include <cstdint>
#include <span>

#include "zo/config.hpp"
#include "zo/direction_lane.hpp"
#include "zo/error.hpp"
#include "zo/law.hpp"
#include "zo/random.hpp"

namespace zo {

/// The instruction set of the direction kernels that this process uses: "avx512", "avx2", "neon" or
/// "generic". Environment variable ZO_INSTRUCTION_SET picks a narrower one; the numbers are the
/// same bits in each.
const char* instruction_set();

namespace detail {

// The compiled kernels of the laws in compiled_laws (src/direction.cpp chooses the widest
// instruction set once). `first` is a multiple of `tile`; arrays start at coordinate `first`.
// out[i] = fma(weights[k], raw value i of direction from.number + k, …) from x[i], k ascending;
// `out` may be `x`.
template <class T>
void compiled_sum(int law, const stream& from, index_t directions, const T* weights, index_t first,
                  index_t count, const T* x, T* out);
// Sum of squares of the raw values of coordinates first … first+count-1 of one tile.
double compiled_squares(int law, const stream& from, index_t first, index_t count);

// The same of raw values that are in memory, in one tile or beyond: those of direction k begin at
// table + k * stride.
template <class T>
void table_sum(index_t directions, const T* weights, const T* table, index_t stride, index_t count,
               const T* x, T* out);
template <class T>
double table_squares(const T* values, index_t count);

// The same of any law.
template <direction_law L, class T>
void sum_directions(const stream& from, index_t directions, const T* weights, index_t first,
                    index_t count, const T* x, T* out) {
  if constexpr (is_compiled<L>) {
    compiled_sum<T>(law_number<L>, from, directions, weights, first, count, x, out);
  } else {
    const lane_sum<T, L> sum{from, directions, weights, first, count, x, out};
    for (index_t item = 0; item < sum.items(); ++item) sum(item);
  }
}
// out = x + h u.
template <direction_law L, class T>
void perturb(const stream& from, index_t first, index_t count, const T* x, T h, T* out) {
  sum_directions<L>(from, 1, &h, first, count, x, out);
}
// g += sum over k of weights[k] u_k.
template <direction_law L, class T>
void accumulate(const stream& from, index_t directions, const T* weights, index_t first,
                index_t count, T* g) {
  sum_directions<L>(from, directions, weights, first, count, static_cast<const T*>(g), g);
}

// Sum of squares of raw values, tile by tile in order.
template <direction_law L>
double sum_of_squares(const stream& from, index_t first, index_t count) {
  double total = 0;
  for (index_t at = first; at < first + count; at += tile) {
    const index_t here = tile < first + count - at ? tile : first + count - at;
    if constexpr (is_compiled<L>) {
      total += compiled_squares(law_number<L>, from, at, here);
    } else {
      double sum[lanes];
      for (index_t lane = 0; lane < lanes; ++lane) {
        sum[lane] = lane_squares<L>{from, at + here}(at / tile * lanes + lane);
      }
      total += lane_tree(sum);
    }
  }
  return total;
}
// 1 / root of their sum, added in order. Compiled in src/, for the sake of the root.
double inverse_root_of_sum(std::span<const double> values);

// Factor between the raw values and the direction.
template <distribution D>
double raw_factor(const stream& from, index_t dimension) {
  if constexpr (!D::unit_norm) return 1.0;
  const double squares = sum_of_squares<typename D::law>(from, 0, dimension);
  return inverse_root_of_sum({&squares, 1});
}

// Numbers to generate before a second thread is worth waking: some 10 microseconds.
template <class L>
constexpr index_t worth_a_thread() {
  constexpr index_t blocks = index_t{1} << 12, most = index_t{1} << 17;
  return blocks * values_per_block<L> < most ? blocks * values_per_block<L> : most;
}

}  // namespace detail

/// Writes direction `from` of the distribution into `out` (d values). The estimators never store a
/// direction; this is for looking at one, for tests, and for other uses of the same randomness.
/// Cost: no queries, no memory.
template <distribution D, scalar T>
void fill_direction(D, const stream& from, std::span<T> out) {
  const auto dimension = static_cast<index_t>(out.size());
  detail::check_dimension("zo::fill_direction", dimension);
  detail::check_memory("zo::fill_direction", "out", out.data());
  for (T& value : out) value = T(0);
  detail::perturb<typename D::law>(from, 0, dimension, static_cast<const T*>(out.data()),
                                   static_cast<T>(detail::raw_factor<D>(from, dimension)),
                                   out.data());
}

}  // namespace zo
