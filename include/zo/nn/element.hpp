// Arithmetic of differences and losses, number by number. Kernels of the GPU use all of it; the CPU
// shares the responses of batch norms, the losses and their differences, and has the differences of
// batch norms and of ReLUs that follow them for whole vectors in src/nn/lanes_kernels.hpp.
#pragma once

#include <cmath>

#include "zo/config.hpp"

namespace zo::nn::detail {

// max(base + change, 0) - max(base, 0), where no two large numbers are subtracted.
template <class T>
ZO_HD T relu_difference(T base, T change) {
  const T least = base > T(0) ? -base : T(0);
  const T moved = base > T(0) ? change : base + change;
  return moved < least ? least : moved;
}

// The variance that the root of variance + epsilon was taken from: rounding makes none negative.
ZO_HD inline double variance_of(double root, double epsilon) {
  const double variance = root * root - epsilon;
  return variance < 0 ? 0.0 : variance;
}

// How a batch norm answers a difference d of its input in one channel, c = base value - mean:
// scale (d - shift) + slope c.
template <class T>
struct norm_response {
  T scale, slope, shift;
};

// Of the input of a batch norm in one channel of `numbers` values: base value c (centred at the
// mean less `rest`), change d, sums of d and of d (2 c + d). With s = mean(d),
//   the variance changes by dv = mean(d (2 c + d)) - s^2, and the output by
//   gamma ((d - s) / root' + c (1 / root' - 1 / root)), 1/root' - 1/root = -dv / (root root' (root
//   + root')).
template <class T>
ZO_HD norm_response<T> norm_response_of(double sum, double squares, double numbers, double root,
                                        double rest, double gamma) {
  const double shift = sum / numbers;
  const double change_of_variance = squares / numbers - shift * (shift + 2 * rest);
  const double new_root = std::sqrt(root * root + change_of_variance);
  return {static_cast<T>(gamma / new_root),
          static_cast<T>(-gamma * change_of_variance / (root * new_root * (root + new_root))),
          static_cast<T>(shift)};
}

template <class T>
ZO_HD T norm_difference(const norm_response<T>& how, T centred, T change) {
  return (change - how.shift) * how.scale + centred * how.slope;
}

// Numbers that follow one another.
template <class T>
struct row_of {
  const T* values;
  ZO_HD double operator()(index k) const { return static_cast<double>(values[k]); }
};

// Softmax cross entropy of one sample; `logit(k)` is one of `classes` logits, `p` receives their
// probabilities. The target is one of them.
template <class Logit>
ZO_HD double cross_entropy_of(index classes, index target, const Logit& logit, double* p) {
  double largest = logit(0), total = 0;
  for (index k = 1; k < classes; ++k) largest = std::fmax(largest, logit(k));
  for (index k = 0; k < classes; ++k) total += p[k] = std::exp(logit(k) - largest);
  for (index k = 0; k < classes; ++k) p[k] /= total;
  return std::log(total) + largest - logit(target);
}

// The same after its logits changed by change(k), minus before: log1p(sum p expm1(d)) - d_target.
template <class Change>
ZO_HD double cross_entropy_difference(index classes, index target, const Change& change,
                                      const double* p) {
  double grown = 0;
  for (index k = 0; k < classes; ++k) grown += p[k] * std::expm1(change(k));
  return std::log1p(grown) - change(target);
}

// (base + change)^2 - base^2.
template <class T>
ZO_HD T square_difference(T base, T change) {
  return change * (2 * base + change);
}

}  // namespace zo::nn::detail
