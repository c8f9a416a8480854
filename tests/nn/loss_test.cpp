// Losses against their definitions, differences against subtraction where that can be trusted.
#include "zo/nn/loss.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

double naive_cross_entropy(const std::vector<double>& z, const std::vector<index_t>& targets,
                           index_t classes) {
  double sum = 0;
  for (std::size_t b = 0; b < targets.size(); ++b) {
    double total = 0;
    for (index_t k = 0; k < classes; ++k) total += std::exp(z[b * 3 + static_cast<std::size_t>(k)]);
    sum += std::log(total) - z[b * 3 + static_cast<std::size_t>(targets[b])];
  }
  return sum / static_cast<double>(targets.size());
}

TEST(nn_loss, cross_entropy_and_its_differences) {
  const std::vector<index_t> targets{2, 0, 1, 1};
  const std::vector<double> z = ramp<double>(12);
  nn::cross_entropy loss(targets, 3);
  EXPECT_NEAR(loss.prepare<double>(z), naive_cross_entropy(z, targets, 3), 1e-14);
  std::vector<double> d = ramp<double>(12, 0.3, -0.21), moved = z;
  for (std::size_t i = 0; i < 12; ++i) moved[i] += d[i];
  EXPECT_NEAR(loss.difference(d.data()),
              naive_cross_entropy(moved, targets, 3) - naive_cross_entropy(z, targets, 3), 1e-14);
  // Steps of 1e-12 keep all their digits: the loss is smooth, so the differences are linear.
  double large = 0;
  for (double& v : d) v *= 1e-8;
  large = loss.difference(d.data());
  for (double& v : d) v *= 1e-6;
  EXPECT_NEAR(loss.difference(d.data()) / large, 1e-6, 1e-12);
}

TEST(nn_loss, large_logits_do_not_overflow) {
  nn::cross_entropy loss(std::vector<index_t>{0}, 2);
  EXPECT_NEAR(loss.prepare<double>(std::vector<double>{-1000, 1000}), 2000, 1e-9);
}

double moved_loss(std::vector<double> z, const std::vector<double>& d, index_t target) {
  nn::cross_entropy loss(std::vector<index_t>{target}, static_cast<index_t>(z.size()));
  loss.prepare<double>(z);
  return loss.difference(d.data());
}

// Right values by hand, from logarithms of 1 + something small.
TEST(nn_loss, differences_of_sure_wrong_and_far_samples) {
  const auto expect_digits = [](double found, double right) {
    EXPECT_NEAR(found, right, 1e-13 * std::abs(right));
  };
  const double inverse = std::exp(-30.0);
  expect_digits(moved_loss({30, 0}, {-1e-9, 0}, 0), inverse / (1 + inverse) * std::expm1(1e-9));
  expect_digits(moved_loss({30, 0}, {1e-9, 0}, 0), inverse / (1 + inverse) * std::expm1(-1e-9));
  // Beyond the range of exp: of p, of exp(d), and of both.
  expect_digits(moved_loss({40, 0, 0}, {-60, 0, 0}, 0),
                20 + std::log(2 + std::exp(-20.0)) - std::log1p(2 * std::exp(-40.0)));
  expect_digits(moved_loss({800, 0}, {-790, 0}, 0), std::log1p(std::exp(-10.0)));
  expect_digits(moved_loss({0, 0, 0}, {-1e6, 0, 0}, 0), 1e6 - std::log(1.5));
  expect_digits(moved_loss({0, 0, 0}, {1e6, 0, 0}, 0), -std::log(3.0));
  expect_digits(moved_loss({0, 1e300}, {0, -1e300}, 0), -1e300);
  // Sure, and wrong.
  expect_digits(moved_loss({0, 60}, {50, 0}, 0),
                -50 + std::log1p(std::exp(-10.0)) - std::log1p(std::exp(-60.0)));
  // What all logits share means nothing.
  EXPECT_EQ(moved_loss({1, 2, 3}, {7e5, 7e5, 7e5}, 2), 0);
  EXPECT_EQ(moved_loss({1}, {3}, 0), 0);
}

TEST(nn_loss, what_is_no_number_stays_visible) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {none, infinite, -infinite}) {
    EXPECT_TRUE(std::isnan(moved_loss({1, 2}, {bad, 0}, 0))) << bad;
    EXPECT_TRUE(std::isnan(moved_loss({bad}, {0}, 0))) << bad;
    EXPECT_TRUE(std::isnan(moved_loss({1}, {bad}, 0))) << bad;
  }
  EXPECT_TRUE(std::isnan(moved_loss({1, 2, 3}, {0, 0, none}, 1)));
  EXPECT_TRUE(std::isnan(moved_loss({1, none, 3}, {0, 0, 0}, 0)));
  EXPECT_TRUE(std::isnan(moved_loss({1, none}, {-900, 0}, 0)));
  EXPECT_TRUE(std::isnan(moved_loss({-infinite, 1}, {1, 0}, 0)));
  EXPECT_TRUE(std::isnan(moved_loss({1, 2}, {0, infinite}, 0)));
  // A class that is ruled out says nothing; ruling it out later is a number.
  EXPECT_EQ(moved_loss({1, -infinite}, {-5, 3}, 0), 0);
  EXPECT_NEAR(moved_loss({1, 1}, {0, -infinite}, 0), -std::log(2.0), 1e-15);
  nn::squared_error squares({0, 0});
  squares.prepare<double>(std::vector<double>{infinite, 1});
  const double still[2] = {0, 0}, far[2] = {-infinite, 0};
  EXPECT_TRUE(std::isnan(squares.difference(still)));
  EXPECT_TRUE(std::isnan(squares.difference(far)));
}

TEST(nn_loss, of_a_sure_sample_has_all_digits) {
  nn::cross_entropy loss(std::vector<index_t>{0}, 2);
  const double other = std::exp(-50.0);
  EXPECT_DOUBLE_EQ(loss.prepare<double>(std::vector<double>{50, 0}), other);
  EXPECT_NEAR(loss.sensitivities()[0], std::sqrt(2.0) * other, 1e-15 * other);
}

TEST(nn_loss, means_that_are_numbers_though_sums_are_not) {
  nn::cross_entropy classes(std::vector<index_t>{1, 1, 1}, 2);
  const std::vector<double> z{1.7e308, 0, 1.7e308, 0, 1.7e308, 0},
      d{-1e308, 0, -1e308, 0, -1e308, 0};
  EXPECT_DOUBLE_EQ(classes.prepare<double>(z), 1.7e308);
  EXPECT_DOUBLE_EQ(classes.difference(d.data()), -1e308);
  nn::squared_error squares({0, 0, 0});
  EXPECT_DOUBLE_EQ(squares.prepare<double>(std::vector<double>{1e154, 1e154, 1e154}), 1e308);
  const double back[3] = {-1e154, -1e154, -1e154};
  EXPECT_DOUBLE_EQ(squares.difference(back), -1e308);
  squares.prepare<double>(std::vector<double>{1e200, 0, 0});
  EXPECT_DOUBLE_EQ(squares.sensitivities()[0], 2e200 / 3);
}

TEST(nn_loss, squared_error_and_its_differences) {
  nn::squared_error loss({1, 2, 3});
  EXPECT_DOUBLE_EQ(loss.prepare<double>(std::vector<double>{2, 2, 5}), 5.0 / 3);
  const double d[3] = {1, -1, 2};
  EXPECT_DOUBLE_EQ(loss.difference(d), (4.0 + 1 + 16) / 3 - 5.0 / 3);
}

// Parts of samples 3 and 1 add up with those of the others; sensitivities are norms of slopes.
template <class Loss>
void expect_parts(Loss loss, const std::vector<double>& z) {
  loss.template prepare<double>(z);
  const std::vector<double> d = ramp<double>(12, 0.3, -0.21);
  std::vector<double> parts(4), two(2);
  const std::vector<index_t> all{0, 1, 2, 3}, some{3, 1};
  loss.template differences<double>(all, d, parts);
  EXPECT_NEAR(parts[0] + parts[1] + parts[2] + parts[3], loss.difference(d.data()), 1e-15);
  const std::vector<double> rows{d[9], d[10], d[11], d[3], d[4], d[5]};
  loss.template differences<double>(some, rows, two);
  EXPECT_DOUBLE_EQ(two[0], parts[3]);
  EXPECT_DOUBLE_EQ(two[1], parts[1]);
  for (std::size_t b = 0; b < 4; ++b) {
    double squares = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      std::vector<double> one(12);
      one[b * 3 + k] = 1e-7;
      const double slope = loss.difference(one.data()) / 1e-7;
      squares += slope * slope;
    }
    EXPECT_NEAR(loss.sensitivities()[b], std::sqrt(squares), 1e-6);
  }
}

TEST(nn_loss, parts_of_samples_and_their_sensitivities) {
  const std::vector<index_t> targets{2, 0, 1, 1};
  expect_parts(nn::cross_entropy(targets, 3), ramp<double>(12));
  expect_parts(nn::squared_error(ramp<double>(12, 1, 0.2), 4), ramp<double>(12));
  EXPECT_TRUE(contains(complaint([] {
                         nn::squared_error({1, 2, 3}, 2);
                       }),
                       "3 targets are not of 2 samples"));
}

TEST(nn_loss, losses_of_nothing_and_questions_too_early_are_named) {
  const auto says = [](const char* part, const auto& make) {
    EXPECT_TRUE(contains(complaint(make), part)) << complaint(make);
  };
  const std::vector<index_t> none, one{0};
  constexpr index_t huge = std::numeric_limits<index_t>::max();
  says("there are no targets", [&] { nn::cross_entropy(none, 3); });
  for (const index_t classes : {index_t{0}, index_t{-1}, -huge}) {
    says("classes must be at least 1, got", [&] { nn::cross_entropy(none, classes); });
  }
  says("0 targets are not of 1 samples", [] { nn::squared_error({}); });
  says("3 targets are not of 5 samples", [] { nn::squared_error({1, 2, 3}, 5); });
  for (const index_t samples : {index_t{0}, index_t{-1}, huge, -huge}) {
    says("targets are not of", [&] { nn::squared_error({1, 2, 3}, samples); });
  }
  says("a target is nan", [] { nn::squared_error({1, not_a_number}); });
  says("a target is inf", [] { nn::squared_error({1, infinity}); });
  const std::vector<index_t> negative{-1};
  says("target -1 is not in 0 … 2", [&] { nn::cross_entropy(negative, 3); });
  nn::cross_entropy wide(std::vector<index_t>(1 << 10), huge / 512);
  says("logits, got 0", [&] { wide.prepare<double>({}); });

  const auto early = [&](auto loss) {
    const std::vector<double> d(6);
    std::vector<double> parts(1);
    says("prepare comes before differences", [&] { loss.difference(d.data()); });
    says("prepare comes before differences", [&] { loss.sensitivities(); });
    says("prepare comes before differences",
         [&] { loss.template differences<double>(one, std::span(d).first(3), parts); });
    loss.template prepare<double>(d);
    loss.template differences<double>(one, std::span(d).first(3), parts);
    says("1 samples need 3 changes and as many parts, got 6 and 1",
         [&] { loss.template differences<double>(one, d, parts); });
    says("got 3 and 0", [&] { loss.template differences<double>(one, std::span(d).first(3), {}); });
    for (const index_t sample : {index_t{-1}, index_t{2}, huge}) {
      says("is not in 0 … 1", [&] {
        loss.template differences<double>({&sample, 1}, std::span(d).first(3), parts);
      });
    }
  };
  early(nn::cross_entropy(std::vector<index_t>{0, 1}, 3));
  early(nn::squared_error(ramp<double>(6), 2));
}

TEST(nn_loss, wrong_sizes_and_targets_are_named) {
  const std::vector<index_t> wrong{3};
  EXPECT_TRUE(
      contains(complaint([&] { nn::cross_entropy(wrong, 3); }), "target 3 is not in 0 … 2"));
  nn::cross_entropy loss(std::vector<index_t>{0, 1}, 2);
  const std::vector<double> three(3);
  EXPECT_TRUE(contains(complaint([&] { loss.prepare<double>(three); }), "need 4 logits, got 3"));
}

TEST(nn_loss, paired_outputs_are_their_sum_with_a_cotangent) {
  const std::vector<double> c = ramp<double>(37), y = ramp<double>(37);
  nn::paired_outputs<double> loss(c);
  double expected = 0;
  for (std::size_t i = 0; i < c.size(); ++i) expected += c[i] * y[i];
  EXPECT_NEAR(loss.prepare<double>(y), expected, 1e-12 * std::abs(expected));
  EXPECT_EQ(loss.prepare<double>(y), loss.difference(y.data()));
  EXPECT_TRUE(contains(complaint([&] { loss.prepare<double>(std::span(y).first(3)); }),
                       "37 outputs have a cotangent, and the network gives 3"));
  EXPECT_TRUE(contains(complaint([&] { nn::paired_outputs<double>({}); }), "there are no outputs"));
}

}  // namespace
