// How answers become slopes, weights and gradient entries: the arithmetic that every machine
// shares.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"
#include "zo/rounding.hpp"

namespace zo::detail {

// Of sums that overflow, those of answers * small are used. A mean is no larger than what it is of.
inline constexpr double small = 0x1p-64;
ZO_HD inline double mean_of(double sum, double small_sum, double count) {
  if (!(count > 0)) return __builtin_nan("");
  if (is_finite(sum)) return sum / count;
  const double most = largest<double>() * small, wide = small_sum / count;
  return (wide > most ? most : wide < -most ? -most : wide) / small;
}

// Slope along a direction at a step: of a forward difference (`lower` is f(x)) or a central one.
ZO_HD inline double slope_along(double upper, double lower, bool forward, double step) {
  return quotient(upper, lower, step, forward ? 0 : -step);
}

// Weight of a direction's raw values in the estimate: (c(d) / q) slope / norm; zero and not
// good where that is no number.
template <class T>
ZO_HD T weight_of(double scale, double slope, double factor, bool& good) {
  const T weight = static_cast<T>(rounded(scale * slope) * factor);
  good = is_finite(weight);
  return good ? weight : T(0);
}

// What one number of a vector answer adds to <v, y - from>: the difference comes before the
// product.
template <class T>
ZO_HD double paired(T v, T y, T from) {
  return static_cast<double>(v) * (static_cast<double>(y) - static_cast<double>(from));
}

// From a mean over all directions to one over those that are left.
template <class T>
ZO_HD T rescaling(index_t asked, index_t good) {
  return static_cast<T>(static_cast<double>(asked) / static_cast<double>(good));
}

// The neighbour of x on one side, step * size away as nearly as the scalar type allows; x itself
// only where the numbers end.
template <class T>
ZO_HD T neighbour(T x, T side, T step, T size) {
  // An explicit fma: a product and a sum would round as the program's own flags say.
  const T moved = fused(side * step, size, x);
  const T end = side * largest<T>();
  if (moved != x) return is_finite(moved) ? moved : end;
  return x == end ? x : std::nextafter(x, side * static_cast<T>(__builtin_inff()));
}

// The same mu away, never x itself: where the numbers end, the neighbour on the other side.
template <class T>
ZO_HD T step_from(T x, double side, double smoothing, bool relative) {
  T size = relative && magnitude(x) > T(1) ? magnitude(x) : T(1);
  auto step = static_cast<T>(smoothing);
  if (!is_finite(step * size)) {
    step = largest<T>();
    size = T(1);
  }
  const T moved = neighbour(x, static_cast<T>(side), step, size);
  return moved != x ? moved : neighbour(x, static_cast<T>(-side), step, size);
}

// What a step along a coordinate makes of an estimate: its slope, and whether that is a number.
template <class T>
ZO_HD T gradient_of(double scale, double slope, bool& good) {
  const T value = static_cast<T>(scale * slope);
  good = is_finite(value);
  return value;
}

// 1 / norm of a direction by all threads: the sums of the tiles, added in order.
template <direction_law L, class Policy>
double inverse_norm(const Policy& policy, const stream& from, index_t dimension,
                    std::vector<double>& partial) {
  const index_t tiles = (dimension + tile - 1) / tile;
  partial.resize(static_cast<std::size_t>(tiles));
  parallel_ranges(policy, tiles, worth_a_thread<L>() / tile, [&](index_t t, index_t end) {
    for (; t < end; ++t) {
      const index_t first = t * tile;
      const index_t count = tile < dimension - first ? tile : dimension - first;
      partial[static_cast<std::size_t>(t)] = sum_of_squares<L>(from, first, count);
    }
  });
  return inverse_root_of_sum(partial);
}

}  // namespace zo::detail
