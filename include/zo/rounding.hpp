// What the scalar type leaves of steps, slopes and sums: where they are lost or overflow.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/finite.hpp"
#include "zo/law.hpp"

namespace zo::detail {

// The largest finite number.
template <class T>
ZO_HD constexpr T largest() {
  if constexpr (sizeof(T) == sizeof(float)) return 0x1.fffffep127f;
  return static_cast<T>(0x1.fffffffffffffp1023);
}

ZO_HD inline float magnitude(float x) { return __builtin_fabsf(x); }
ZO_HD inline double magnitude(double x) { return __builtin_fabs(x); }

// (upper - lower) / (upper_x - lower_x), also where a difference overflows and the quotient does
// not; NaN where the points are no numbers.
ZO_HD inline double quotient(double upper, double lower, double upper_x, double lower_x) {
  const double rise = upper - lower, run = upper_x - lower_x;
  if (is_finite(rise) && is_finite(run)) return rounded(rise / run);
  const double half_run = upper_x / 2 - lower_x / 2;
  if (!is_finite(half_run)) return __builtin_nan("");
  return (upper / 2 - lower / 2) / half_run;
}

// What keeps a row from being estimated.
inline constexpr unsigned step_is_lost = 1;    // x + mu u rounds to something else
inline constexpr unsigned beyond_range = 2;    // a number is not finite
inline constexpr double most_rounding = 0.05;  // of a coordinate's mean

// Which coordinates take a step along a direction as it was meant. Directions with normal
// coordinates (and spheres, but for those of few dimensions) dither: their mean is right as soon
// as one standard deviation moves x at all. Signs have one size: what rounding makes of it stays.
template <class T>
struct step_check {
  T step;   // this far
  T most;   // it may be off by so much
  T reach;  // and no candidate is further than this

  ZO_HD unsigned operator()(T x) const {
    const T up = (x + step) - x - step, down = (x - step) - x + step;
    const unsigned right = static_cast<unsigned>(magnitude(up) <= most) &
                           static_cast<unsigned>(magnitude(down) <= most);
    const auto within = static_cast<unsigned>(magnitude(x) + reach <= largest<T>());
    return (right ^ 1U) * step_is_lost | (within ^ 1U) * beyond_range;
  }
};

template <class T, distribution D>
step_check<T> check_of(D, double smoothing, index_t dimension) {
  constexpr index_t few = 16;
  constexpr double nearly_all = 0.96;  // a step that does not move x is off by all of it
  const double root = D::unit_norm ? 1 / std::sqrt(static_cast<double>(dimension)) : 1.0;
  using L = typename D::law;
  const bool dithers = L::continuous;
  const bool by_few = D::unit_norm && dimension < few;
  const double size = dithers ? 1.0 : L::largest;
  const double step = smoothing * root * size * (by_few ? most_rounding : 1.0);
  const double reach = D::unit_norm ? smoothing : L::largest * smoothing;
  const auto stored = static_cast<T>(step);
  // A step among the denormal numbers may itself be off.
  const double off = std::abs(static_cast<double>(stored) - step);
  const bool held = off <= most_rounding / 2 * step;
  return {stored, held ? static_cast<T>((dithers ? nearly_all : most_rounding) * step) : T(-1),
          static_cast<T>(reach)};
}

// The largest |x[i]|; NaN where any is.
template <class T>
T largest_magnitude(index_t count, const T* x);

template <class T>
bool all_finite(index_t count, const T* values) {
  return is_finite(largest_magnitude(count, values));
}

// The faults of some coordinates together. Compiled in src/, because a program's own flags may
// allow its compiler to simplify (x + h) - x.
template <class T>
unsigned step_faults(const step_check<T>& check, index_t count, const T* x);

}  // namespace zo::detail
