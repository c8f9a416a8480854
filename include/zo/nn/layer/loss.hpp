// Losses of one sample, and their differences.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

using zo::detail::is_finite;

// Softmax cross entropy of one sample; `logit(k)` is one of `classes` logits, `p` receives their
// probabilities and `log_p` the logarithms of these. The target is one of them.
template <class Logit>
ZO_HD double cross_entropy_of(index_t classes, index_t target, const Logit& logit, double* p,
                              double* log_p) {
  index_t first = 0;
  for (index_t k = 1; k < classes; ++k) first = logit(k) > logit(first) ? k : first;
  const double largest = logit(first);
  double others = 0;  // beside the 1 of the largest, so that small ones keep their digits
  for (index_t k = 0; k < classes; ++k) {
    p[k] = std::exp(logit(k) - largest);
    if (k != first) others += p[k];
  }
  for (index_t k = 0; k < classes; ++k) {
    p[k] /= 1 + others;
    log_p[k] = (logit(k) - largest) - std::log1p(others);
  }
  return -log_p[target];
}

// The same after its logits changed by change(k), minus before: with changes relative to that of
// the target, the logarithm of 1 + sum of p expm1(change) over the other classes.
template <class Change>
ZO_HD double cross_entropy_difference(index_t classes, index_t target, const Change& change,
                                      const double* p, const double* log_p) {
  const double own = change(target);
  const double checked = (own - own) + (log_p[target] - log_p[target]);
  if (checked != 0) return checked;  // infinite minus infinite
  double grown = 0;
  for (index_t k = 0; k < classes; ++k) {
    if (k == target) continue;
    const double by = change(k) - own;
    // exp(by) may be beyond all numbers and p below them, though not their product.
    grown += by > 1 ? std::exp(log_p[k] + by) * -std::expm1(-by) : p[k] * std::expm1(by);
  }
  if (grown > -0.5 && is_finite(grown)) return std::log1p(grown);
  // Far from 1 the sum itself, p exp(change) over all classes, has all digits.
  double most = log_p[target];
  for (index_t k = 0; k < classes; ++k) {
    const double moved = log_p[k] + (change(k) - own);
    most = moved > most ? moved : most;
  }
  double total = 0;
  for (index_t k = 0; k < classes; ++k) total += std::exp(log_p[k] + (change(k) - own) - most);
  return most + std::log(total);
}

}  // namespace zo::nn::detail
