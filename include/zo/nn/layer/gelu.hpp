// x Phi(x), and its differences.
#pragma once

#include <cmath>

#include "zo/config.hpp"

namespace zo::nn::detail {

// The distribution of a standard normal, with all digits in its lower tail.
ZO_HD inline double normal_cdf(double x) { return 0.5 * std::erfc(-0.70710678118654752440 * x); }

ZO_HD inline double gelu(double x) { return x * normal_cdf(x); }

// Phi(x + d) - Phi(x) for steps so small that nothing may be subtracted: the density integrated by
// Gauss-Legendre's rule of 8 points, exact to 1e-16 of the value up to |d| (1 + |x|) = 1.
ZO_HD inline double small_normal_cdf_difference(double x, double d) {
  constexpr double points[4] = {0.18343464249564980494, 0.52553240991632898582,
                                0.79666647741362673959, 0.96028985649753623168};
  constexpr double weights[4] = {0.36268378337836198297, 0.31370664587788728734,
                                 0.22238103445337447054, 0.10122853629037625915};
  const double half = d / 2, middle = x + half;
  double sum = 0;
  for (int k = 0; k < 4; ++k) {
    const double above = middle + half * points[k], below = middle - half * points[k];
    sum += weights[k] * (std::exp(-above * above / 2) + std::exp(-below * below / 2));
  }
  return half * sum * 0.39894228040143267794;
}

// Phi(x + d) - Phi(x).
ZO_HD inline double normal_cdf_difference(double x, double d) {
  if (std::fabs(d) * (1 + std::fabs(x)) < 1) return small_normal_cdf_difference(x, d);
  return normal_cdf(x + d) - normal_cdf(x);
}

// gelu(x + d) - gelu(x) = d Phi(x + d) + x (Phi(x + d) - Phi(x)).
ZO_HD inline double gelu_difference(double x, double d) {
  return d * normal_cdf(x + d) + x * normal_cdf_difference(x, d);
}

}  // namespace zo::nn::detail
