// Batch norm of one channel: its moments, its values, and how it answers differences.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

using zo::detail::is_finite;

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

// What is known of one channel: the mean once more as T, which numbers are centred by, and what
// that left of it.
template <class T>
struct norm_moments {
  double mean, variance, root;  // of the variance + epsilon
  T centre;
  double rest;
};

// Of `mean` = around + rest.
template <class T>
ZO_HD norm_moments<T> norm_moments_around(double around, double rest, double variance,
                                          double root) {
  const double mean = around + rest;
  const T centre = static_cast<T>(mean);
  return {mean, variance, root, centre, (around - static_cast<double>(centre)) + rest};
}

// From sums of c and c^2, c = value - around; `careful` answers where these overflow.
template <class T, class Careful>
ZO_HD norm_moments<T> norm_moments_of(double sum, double squares, double numbers, double around,
                                      double epsilon, const Careful& careful) {
  const double variance = (squares - sum * (sum / numbers)) / numbers;
  if (!is_finite(variance)) {
    const moments found = careful();
    return norm_moments_around<T>(found.mean, 0, found.variance, found.root);
  }
  const double left = variance < 0 ? 0 : variance;
  return norm_moments_around<T>(around, sum / numbers, left, std::sqrt(left + epsilon));
}

// Running ones. A negative variance has no root: NaN.
template <class T>
ZO_HD norm_moments<T> norm_moments_from(T mean, T variance, double epsilon) {
  const auto spread = static_cast<double>(variance);
  return {static_cast<double>(mean), spread, std::sqrt(spread + epsilon), mean, 0};
}

// y = (x - centre) scale + shift, where the shift has what rounding left of the mean.
template <class T>
struct norm_line {
  T scale, shift;
};
template <class T>
ZO_HD norm_line<T> norm_line_of(T gamma, T beta, double root, double rest) {
  const double scale = static_cast<double>(gamma) / root;
  return {static_cast<T>(scale), static_cast<T>(static_cast<double>(beta) - rest * scale)};
}
template <class T>
ZO_HD T norm_value(const norm_line<T>& line, T centred) {
  return centred * line.scale + line.shift;
}

// The difference that a step of gamma makes.
template <class T>
ZO_HD T gamma_difference(T x, double centre, double rest, double root, T step) {
  const double centred = (static_cast<double>(x) - centre) - rest;
  return static_cast<T>(static_cast<double>(step) * (centred / root));
}

// A running statistic after a batch in which `share` of `found` was found: of a variance the
// unbiased one.
ZO_HD inline double unbiased_share(double numbers) { return numbers / (numbers - 1); }
template <class T>
ZO_HD T moved_statistic(T running, double momentum, double share, double found) {
  return static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * share * found);
}

}  // namespace zo::nn::detail
