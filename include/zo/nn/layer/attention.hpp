// Softmax, and its differences, over the positions that one position attends to. Kept are the
// logarithms of probabilities: one that is below all numbers may be the largest after a change.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

// put(j, p, log p) for p = exp(score(j)) over the sum of these.
template <class Score, class Put>
ZO_HD void softmax_of(index_t count, const Score& score, const Put& put) {
  index_t first = 0;
  for (index_t j = 1; j < count; ++j) first = score(j) > score(first) ? j : first;
  const double most = score(first);
  double others = 0;  // beside the 1 of the largest, so that small ones keep their digits
  for (index_t j = 0; j < count; ++j) others += j == first ? 0 : std::exp(score(j) - most);
  const double log_of_sum = std::log1p(others);
  for (index_t j = 0; j < count; ++j) {
    put(j, std::exp(score(j) - most) / (1 + others), (score(j) - most) - log_of_sum);
  }
}

// exp(log_p) (exp(change) - 1): the difference of a weight.
ZO_HD inline double weight_difference(double log_p, double change) {
  return change > 1 ? std::exp(log_p + change) * -std::expm1(-change)
                    : std::exp(log_p) * std::expm1(change);
}

// The logarithm of the sum of p exp(change): what all weights are then divided by.
template <class LogP, class Change>
ZO_HD double softmax_growth(index_t count, const LogP& log_p, const Change& change) {
  double grown = 0;
  for (index_t j = 0; j < count; ++j) grown += weight_difference(log_p(j), change(j));
  if (grown > -0.5 && zo::detail::is_finite(grown)) return std::log1p(grown);
  // Far from 1 the sum itself has all digits.
  double most = log_p(0) + change(0), sum = 0;
  for (index_t j = 1; j < count; ++j) {
    const double moved = log_p(j) + change(j);
    most = moved > most ? moved : most;
  }
  for (index_t j = 0; j < count; ++j) sum += std::exp(log_p(j) + change(j) - most);
  return most + std::log(sum);
}

}  // namespace zo::nn::detail
