#include "common/certification.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace app {
namespace {

// scipy 1.17.1: bound = scipy.stats.beta.ppf(alpha, k, n - k + 1), equal to
// statsmodels' proportion_confint(k, n, 2 * alpha, method="beta")[0];
// radius = 0.25 * scipy.stats.norm.ppf(bound), below 0 where Cohen et al. abstain.
struct known {
  std::int64_t successes, trials;
  double alpha, bound, radius;
};
constexpr known values[] = {
    {10000, 10000, 0.001, 0.99930946300259, 0.799644378684585},
    {9990, 10000, 0.001, 0.997588308032568, 0.704649575099561},
    {9000, 10000, 0.001, 0.890409733674906, 0.307177515257496},
    {5200, 10000, 0.001, 0.50450184887918, 0.00282117529787402},
    {5100, 10000, 0.001, 0.494499306726593, -0.00344715755174871},
    {1, 10, 0.05, 0.0051161968918237, -0.641968842148143},
    {100, 100, 0.001, 0.933254300796991, 0.375118756030159},
    {60, 100, 0.025, 0.497209150422335, -0.0017489198805198},
    {200, 200, 0.001, 0.966050878989813, 0.456420390595501},
    {99999, 100000, 0.001, 0.999907669666265, 0.934781667135839},
    {1, 1, 0.001, 0.001, -0.772558076541953},
    {3, 7, 0.5, 0.364116086448083, -0.08686952351393},
    {50000000, 100000000, 0.001, 0.499845483388767, -9.68289290751427e-05},
};

TEST(Certification, BoundsAndRadiiEqualScipy) {
  for (const known& v : values) {
    const double bound = clopper_pearson_lower(v.successes, v.trials, v.alpha);
    EXPECT_NEAR(bound, v.bound, 1e-12 * v.bound) << v.successes << " of " << v.trials;
    EXPECT_NEAR(certified_radius(bound, 0.25), std::max(v.radius, 0.0), 1e-11);
  }
}

/// P(X >= k | n, p) by adding up the binomial probabilities.
double upper_tail(std::int64_t k, std::int64_t n, double p) {
  long double sum = 0;
  for (std::int64_t i = k; i <= n; ++i) {
    const long double log_choose = std::lgamma(static_cast<long double>(n + 1)) -
                                   std::lgamma(static_cast<long double>(i + 1)) -
                                   std::lgamma(static_cast<long double>(n - i + 1));
    sum +=
        std::exp(log_choose + static_cast<long double>(i) * std::log(static_cast<long double>(p)) +
                 static_cast<long double>(n - i) * std::log1p(-static_cast<long double>(p)));
  }
  return static_cast<double>(sum);
}

TEST(Certification, AtTheBoundTheTailIsAlpha) {
  for (const double alpha : {0.001, 0.05, 0.5}) {
    for (std::int64_t n = 1; n <= 60; ++n) {
      for (std::int64_t k = 1; k <= n; ++k) {
        const double bound = clopper_pearson_lower(k, n, alpha);
        EXPECT_NEAR(upper_tail(k, n, bound), alpha, 1e-10 * alpha + 1e-13) << k << " of " << n;
      }
    }
  }
}

TEST(Certification, AllSuccessesHaveAClosedForm) {
  for (const std::int64_t n : {1, 10, 200, 10'000, 1'000'000}) {
    EXPECT_NEAR(clopper_pearson_lower(n, n, 0.001), std::pow(0.001, 1.0 / static_cast<double>(n)),
                1e-12);
  }
}

TEST(Certification, TheBoundCoversTheTruth) {
  // Exact coverage: the probability, under p, of votes whose bound exceeds p is at most alpha.
  constexpr double alpha = 0.05;
  constexpr std::int64_t n = 50;
  for (const double p : {0.1, 0.5, 0.7, 0.93}) {
    std::int64_t k = 0;
    while (k <= n && clopper_pearson_lower(k, n, alpha) <= p) ++k;
    EXPECT_LE(k > n ? 0 : upper_tail(k, n, p), alpha) << p;
  }
}

TEST(Certification, NoSuccessBoundsNothing) { EXPECT_EQ(clopper_pearson_lower(0, 100, 0.001), 0); }

TEST(Certification, RefusesImpossibleCounts) {
  EXPECT_THROW(clopper_pearson_lower(1, 0, 0.1), std::invalid_argument);
  EXPECT_THROW(clopper_pearson_lower(-1, 5, 0.1), std::invalid_argument);
  EXPECT_THROW(clopper_pearson_lower(6, 5, 0.1), std::invalid_argument);
  for (const double alpha : {0.0, 1.0, -0.1, std::nan("")}) {
    EXPECT_THROW(clopper_pearson_lower(1, 5, alpha), std::invalid_argument);
  }
}

TEST(Certification, RadiusIsTheNormalQuantile) {
  // scipy.stats.norm.ppf
  EXPECT_EQ(certified_radius(0.5, 1), 0);
  EXPECT_NEAR(certified_radius(0.51, 1), 0.0250689082587111, 1e-13);
  EXPECT_NEAR(certified_radius(0.75, 2), 2 * 0.674489750196082, 1e-13);
  EXPECT_NEAR(certified_radius(0.999, 0.5), 0.5 * 3.09023230616781, 1e-13);
  EXPECT_NEAR(certified_radius(0.9999999, 1), 5.19933758229066, 1e-8);
  EXPECT_EQ(certified_radius(0.3, 1), 0);
  EXPECT_EQ(certified_radius(std::nan(""), 1), 0);
}

TEST(Certification, CertifiesTheSelectedClassOnly) {
  // The top class of the estimation is 2; the selection chose 1, and that one is judged.
  const std::vector<std::int64_t> selection = {10, 60, 30};
  const std::vector<std::int64_t> against = {0, 4000, 6000};
  EXPECT_TRUE(certify(selection, against, 0.25, 0.001).abstained());
  const std::vector<std::int64_t> in_favour = {500, 9000, 500};
  const certificate verdict = certify(selection, in_favour, 0.25, 0.001);
  EXPECT_EQ(verdict.prediction, 1);
  EXPECT_NEAR(verdict.lower_bound, 0.890409733674906, 1e-12);
  EXPECT_NEAR(verdict.radius, 0.307177515257496, 1e-12);
}

TEST(Certification, AbstainsBelowOneHalf) {
  const std::vector<std::int64_t> selection = {1, 0};
  EXPECT_FALSE(certify(selection, std::vector<std::int64_t>{5200, 4800}, 0.25, 0.001).abstained());
  const certificate below = certify(selection, std::vector<std::int64_t>{5100, 4900}, 0.25, 0.001);
  EXPECT_TRUE(below.abstained());
  EXPECT_EQ(below.radius, 0);
  EXPECT_NEAR(below.lower_bound, 0.494499306726593, 1e-12);
}

// As CERTIFY of Cohen et al.: abstains when the bound is below one half. One vote of one at level
// one half has the bound one half: the class, with no radius.
TEST(Certification, DoesNotAbstainAtOneHalf) {
  const std::vector<std::int64_t> one_vote = {1, 0};
  const certificate at_half = certify(one_vote, one_vote, 0.25, 0.5);
  EXPECT_EQ(at_half.lower_bound, 0.5);
  EXPECT_EQ(at_half.prediction, 0);
  EXPECT_EQ(at_half.radius, 0);
  EXPECT_TRUE(certify(one_vote, one_vote, 0.25, std::nextafter(0.5, 0)).abstained());
}

TEST(Certification, EqualVotesSelectTheLowestClass) {
  const std::vector<std::int64_t> tie = {5, 5};
  EXPECT_EQ(certify(tie, std::vector<std::int64_t>{100, 0}, 1, 0.05).prediction, 0);
}

TEST(Certification, RefusesBadVotes) {
  const std::vector<std::int64_t> good = {5, 5};
  EXPECT_THROW(certify({}, good, 1, 0.1), std::invalid_argument);
  EXPECT_THROW(certify(good, std::vector<std::int64_t>{5}, 1, 0.1), std::invalid_argument);
  EXPECT_THROW(certify(good, std::vector<std::int64_t>{6, -1}, 1, 0.1), std::invalid_argument);
  EXPECT_THROW(certify(std::vector<std::int64_t>{0, 0}, good, 1, 0.1), std::invalid_argument);
  for (const double sigma : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_THROW(certify(good, good, sigma, 0.1), std::invalid_argument);
  }
}

TEST(Certification, AccuracyCountsCorrectFarEnough) {
  const std::vector<certificate> certificates = {
      {3, 0.9, 0.5}, {3, 0.8, 0.25}, {1, 0.9, 0.5}, {-1, 0.4, 0}, {3, 0.5, 0}};
  const std::vector<std::int64_t> labels = {3, 3, 3, 3, 3};
  const auto at = [&](double radius) { return certified_accuracy(certificates, labels, radius); };
  EXPECT_EQ(at(0).successes, 3);
  EXPECT_EQ(at(0.25).successes, 2);
  EXPECT_EQ(at(0.26).successes, 1);
  EXPECT_EQ(at(0.6).successes, 0);
  EXPECT_EQ(at(0).trials, 5);
  EXPECT_EQ(abstentions(certificates).successes, 1);
  const std::vector<std::int64_t> unknown(5, -1);  // an abstention is no answer, whatever the label
  EXPECT_EQ(certified_accuracy(certificates, unknown, 0).successes, 0);
  EXPECT_THROW(certified_accuracy(certificates, std::vector<std::int64_t>{3}, 0),
               std::invalid_argument);
}

TEST(Certification, StandardErrorsAreBinomial) {
  const proportion p{250, 1000};  // sqrt(0.25 * 0.75 / 1000)
  EXPECT_DOUBLE_EQ(p.value(), 0.25);
  EXPECT_NEAR(p.standard_error(), 0.013693063937629153, 1e-16);
  EXPECT_EQ((proportion{5, 5}.standard_error()), 0);
  EXPECT_TRUE(std::isnan(proportion{}.value()));
  EXPECT_TRUE(std::isnan(proportion{}.standard_error()));
}

}  // namespace
}  // namespace app
