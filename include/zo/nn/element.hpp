// Arithmetic of differences and losses, number by number. Kernels of the GPU use all of it; the CPU
// shares the responses of batch norms, the losses and their differences, and has the differences of
// batch norms and of ReLUs that follow them for whole vectors in src/nn/lanes_kernels.hpp.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

using zo::detail::is_finite;

// The larger one, or NaN where one is: a comparison alone would let NaN lose.
template <class T>
ZO_HD T larger(T a, T b) {
  return b > a || b != b ? b : a;
}

// Sum of term(0) … term(count - 1) over `all`, also where it is the sum that is beyond all numbers.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable  // terms of the host are for the host
#endif
template <class T, class Term>
ZO_HD T sum_over(T all, index_t count, const Term& term) {
  T sum = 0;
  for (index_t k = 0; k < count; ++k) sum += term(k);
  if (is_finite(sum)) return sum / all;
  sum = 0;
  for (index_t k = 0; k < count; ++k) sum += term(k) / all;
  return sum;
}
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class T, class Term>
ZO_HD T mean_of(index_t count, const Term& term) {
  return sum_over(static_cast<T>(count), count, term);
}

// max(base + change, 0) - max(base, 0), where no two large numbers are subtracted; NaN for an
// infinite base above zero.
template <class T>
ZO_HD T relu_difference(T base, T change) {
  const T least = base > T(0) ? -base : T(0);
  const T moved = base > T(0) ? change + (base - base) : base + change;
  return moved < least ? least : moved;
}

// (base - value) + change for a number of a window and its maximum. What rounding leaves of the
// first difference is added last, for where the other two cancel.
template <class T>
ZO_HD T above_maximum(T base, T value, T change) {
  const T gap = base - value, part = gap - base;
  const T left = (base - (gap - part)) - (value + part);
  return is_finite(gap) ? (gap + change) + left : gap + change;
}

// How a batch norm answers a difference d of its input in one channel, c = base value - mean
// rounded to T: ((d - shift) scale + rest) + slope c.
template <class T>
struct norm_response {
  T scale, slope, shift, rest;
};

// Of the input of a batch norm in one channel: the mean rounded to T and what that left of it.
struct norm_input {
  double centre, rest;
  double root;  // of the variance + epsilon
  double epsilon, gamma;
};

// The mean changes by s = pivot + lead; the change of the variance and the new root are those of
// numbers scaled by `unit`:
//   gamma ((d - s) / root' + c (1 / root' - 1 / root)), 1/root' - 1/root = -dv / (root root' (root
//   + root')).
template <class T>
ZO_HD norm_response<T> norm_response_from(double pivot, double lead, double change_of_variance,
                                          double new_root, double unit, const norm_input& input) {
  const double scale = input.gamma * unit / new_root;
  const double slope =
      -input.gamma * change_of_variance / (input.root * new_root * (input.root * unit + new_root));
  const T shift = static_cast<T>(pivot + lead);
  const double left = (pivot - static_cast<double>(shift)) + lead;
  return {static_cast<T>(scale), static_cast<T>(slope), shift,
          static_cast<T>(-(left * scale + input.rest * slope))};
}

// A power of two that keeps squares of numbers of this size within all numbers; and the root of a
// variance of numbers that were scaled by it, + epsilon, where rounding may have left less than 0.
ZO_HD inline double unit_for(double largest) { return largest > 1e100 ? 0x1p-600 : 1.0; }
ZO_HD inline double root_in(double unit, double variance, double epsilon) {
  return variance <= 0 ? std::sqrt(epsilon) * unit : std::sqrt(variance + epsilon * unit * unit);
}

// A batch norm's response from all of its numbers, value(i) and change(i), in double: where sums in
// T overflow, or cancel because little is left of the variance.
template <class T, class Value, class Change>
ZO_HD norm_response<T> careful_norm_response(index_t numbers, const Value& value,
                                             const Change& change, const norm_input& input) {
  const auto n = static_cast<double>(numbers);
  double largest = 0;
  for (index_t i = 0; i < numbers; ++i) {
    largest = std::fmax(largest, std::fmax(std::fabs(value(i)), std::fabs(change(i))));
  }
  const double unit = unit_for(largest), pivot = change(0) * unit;
  double lead = 0;
  for (index_t i = 0; i < numbers; ++i) lead += change(i) * unit - pivot;
  lead /= n;
  double changes = 0, values = 0, grown = 0, left = 0;
  for (index_t i = 0; i < numbers; ++i) {
    const double c = (value(i) * unit - input.centre * unit) - input.rest * unit;
    const double e = (change(i) * unit - pivot) - lead;
    values += c;
    changes += e;
    grown += e * (2 * c + e);
    left += (c + e) * (c + e);
  }
  grown = (grown - changes * (2 * values + changes) / n) / n;
  left = (left - (values + changes) * (values + changes) / n) / n;
  const double new_root = root_in(unit, left, input.epsilon);
  return norm_response_from<T>(pivot / unit, (lead + changes / n) / unit, grown, new_root, unit,
                               input);
}

// The same from sums of q = d - pivot and of q (2 c + q), c = base value - mean rounded to T. With
// t = mean(q), the mean changes by pivot + t and the variance by mean(q (2 c + q)) - t^2. The pivot
// is near the mean of d, so that the two do not cancel where d is nearly constant.
// `careful` answers where these sums do not suffice.
template <class T, class Careful>
ZO_HD norm_response<T> norm_response_of(double sum, double squares, double numbers, double pivot,
                                        const norm_input& input, const Careful& careful) {
  const double lead = sum / numbers, was = input.root * input.root;
  const double grown = squares / numbers - lead * (lead + 2 * input.rest);
  const double now = was + grown;
  if (!(now >= was / 4 && is_finite(now))) return careful();
  return norm_response_from<T>(pivot, lead, grown, std::sqrt(now), 1, input);
}

template <class T>
ZO_HD T norm_difference(const norm_response<T>& how, T centred, T change) {
  return ((change - how.shift) * how.scale + how.rest) + centred * how.slope;
}

// Mean, variance and root of the variance + epsilon of value(0) … value(numbers - 1), in double:
// where sums in T overflow.
struct moments {
  double mean, variance, root;
};
template <class Value>
ZO_HD moments careful_moments(index_t numbers, const Value& value, double epsilon) {
  const auto n = static_cast<double>(numbers);
  double largest = 0;
  for (index_t i = 0; i < numbers; ++i) largest = std::fmax(largest, std::fabs(value(i)));
  const double unit = unit_for(largest), first = value(0) * unit;
  double mean = 0, sum = 0, squares = 0;
  for (index_t i = 0; i < numbers; ++i) mean += value(i) * unit - first;
  mean = first + mean / n;
  for (index_t i = 0; i < numbers; ++i) {
    const double c = value(i) * unit - mean;
    sum += c;
    squares += c * c;
  }
  const double variance = (squares - sum * (sum / n)) / n;
  return {(mean + sum / n) / unit, (variance < 0 ? 0 : variance) / unit / unit,
          root_in(unit, variance, epsilon) / unit};
}

// Numbers that follow one another.
template <class T>
struct row_of {
  const T* values;
  ZO_HD double operator()(index_t k) const { return static_cast<double>(values[k]); }
};

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

// (base + change)^2 - base^2.
template <class T>
ZO_HD T square_difference(T base, T change) {
  return change * (2 * base + change);
}

}  // namespace zo::nn::detail
