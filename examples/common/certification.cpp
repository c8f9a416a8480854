#include "common/certification.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace app {
namespace {

std::int64_t total_votes(std::span<const std::int64_t> votes, const char* which) {
  if (votes.empty() || *std::min_element(votes.begin(), votes.end()) < 0) {
    throw std::invalid_argument(std::string("app::certify: the ") + which +
                                " votes must be given, and none may be negative");
  }
  const std::int64_t total = std::accumulate(votes.begin(), votes.end(), std::int64_t{0});
  if (total < 1) {
    throw std::invalid_argument(std::string("app::certify: there is no ") + which + " vote");
  }
  return total;
}

/// The largest p with I_p(a, b) <= alpha. P(X >= k | n, p) is the distribution function of
/// Beta(k, n - k + 1) at p. Halving an interval cannot fail; Boost's ibeta_inv (1.74) can: it
/// throws for a = b = 5, alpha = 0.5.
double largest_below(double a, double b, double alpha) {
  double low = 0;
  double high = 1;
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;  // neighbouring numbers
    (boost::math::ibeta(a, b, middle) <= alpha ? low : high) = middle;
  }
}

}  // namespace

double clopper_pearson_lower(std::int64_t successes, std::int64_t trials, double alpha) {
  if (trials < 1 || successes < 0 || successes > trials) {
    throw std::invalid_argument(
        "app::clopper_pearson_lower: successes must be in [0, trials] and trials at least 1, got " +
        std::to_string(successes) + " of " + std::to_string(trials));
  }
  if (!(alpha > 0 && alpha < 1)) {
    throw std::invalid_argument("app::clopper_pearson_lower: alpha must be in (0, 1), got " +
                                std::to_string(alpha));
  }
  if (successes == 0) return 0;
  return largest_below(static_cast<double>(successes), static_cast<double>(trials - successes + 1),
                       alpha);
}

double certified_radius(double probability, double sigma) {
  if (!(probability > 0.5)) return 0;
  if (probability >= 1) return std::numeric_limits<double>::infinity();
  return sigma * boost::math::quantile(boost::math::normal_distribution<double>(), probability);
}

certificate certify(std::span<const std::int64_t> selection,
                    std::span<const std::int64_t> estimation, double sigma, double alpha) {
  total_votes(selection, "selection");
  const std::int64_t trials = total_votes(estimation, "estimation");
  if (selection.size() != estimation.size()) {
    throw std::invalid_argument("app::certify: both votes must be over the same classes");
  }
  if (!(sigma > 0) || !std::isfinite(sigma)) {
    throw std::invalid_argument("app::certify: sigma must be positive");
  }
  const auto top = std::max_element(selection.begin(), selection.end()) - selection.begin();
  const double bound =
      clopper_pearson_lower(estimation[static_cast<std::size_t>(top)], trials, alpha);
  if (bound < 0.5) return {-1, bound, 0};
  return {top, bound, certified_radius(bound, sigma)};
}

double proportion::value() const {
  return static_cast<double>(successes) / static_cast<double>(trials);
}

double proportion::standard_error() const {
  const double p = value();
  return std::sqrt(p * (1 - p) / static_cast<double>(trials));
}

proportion certified_accuracy(std::span<const certificate> certificates,
                              std::span<const std::int64_t> labels, double radius) {
  if (certificates.size() != labels.size()) {
    throw std::invalid_argument("app::certified_accuracy: " + std::to_string(certificates.size()) +
                                " certificates but " + std::to_string(labels.size()) + " labels");
  }
  proportion out{0, static_cast<std::int64_t>(labels.size())};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const certificate& each = certificates[i];
    if (!each.abstained() && each.prediction == labels[i] && each.radius >= radius) ++out.successes;
  }
  return out;
}

proportion abstentions(std::span<const certificate> certificates) {
  const auto count = std::count_if(certificates.begin(), certificates.end(),
                                   [](const certificate& each) { return each.abstained(); });
  return {count, static_cast<std::int64_t>(certificates.size())};
}

}  // namespace app
