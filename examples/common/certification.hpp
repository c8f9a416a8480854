// Certified robustness of a smoothed classifier (Cohen, Rosenfeld, Kolter 2019): the statistics.
#pragma once

#include <cstdint>
#include <span>

namespace app {

/// One-sided Clopper-Pearson bound: the largest p with P(X >= successes | trials, p) <= alpha, so
/// that the true probability is at least p with confidence 1 - alpha. 0 without a success.
/// Throws std::invalid_argument unless 0 <= successes <= trials, trials >= 1, 0 < alpha < 1.
double clopper_pearson_lower(std::int64_t successes, std::int64_t trials, double alpha);

/// Radius sigma * Phi^-1(probability) in the 2-norm, in the units of sigma; 0 below one half.
double certified_radius(double probability, double sigma);

/// The verdict on one input.
struct certificate {
  std::int64_t prediction = -1;  ///< a class, or -1: abstained
  double lower_bound = 0;        ///< of the probability of the top class under noise
  double radius = 0;             ///< 0 when abstained

  bool abstained() const { return prediction < 0; }
};

/// CERTIFY of the paper: the class with most votes in `selection` (N0 noisy copies, the lowest of
/// equals), bounded by its votes in the independent `estimation` (N copies). Both hold votes per
/// class. Abstains when the bound is below one half; at one half the radius is 0. Throws
/// std::invalid_argument for negative or missing votes, classes that differ in number, alpha
/// outside (0, 1) and sigma not positive.
certificate certify(std::span<const std::int64_t> selection,
                    std::span<const std::int64_t> estimation, double sigma, double alpha);

/// An accuracy measured on `trials` inputs.
struct proportion {
  std::int64_t successes = 0;
  std::int64_t trials = 0;

  double value() const;  ///< successes / trials; NaN without a trial
  /// sqrt(p (1 - p) / trials), the binomial standard error; NaN without a trial. At p = 0 or 1 this
  /// is 0 however few the trials: state their number beside it.
  double standard_error() const;
};

/// How many inputs are predicted as labelled with a radius of at least `radius`. Radius 0 counts
/// every correct prediction; abstentions are wrong. Throws std::invalid_argument when the sizes
/// differ.
proportion certified_accuracy(std::span<const certificate> certificates,
                              std::span<const std::int64_t> labels, double radius);

/// How many inputs were abstained on.
proportion abstentions(std::span<const certificate> certificates);

}  // namespace app
