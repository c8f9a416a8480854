#include "method.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace {

defense::settings with_latent(std::int64_t latent) {
  defense::settings s;
  s.dataset = "fashion-mnist";
  s.latent = latent;
  return s;
}

TEST(Method, QueriesPerStepAreEqualByDefault) {
  const auto s = with_latent(48);
  for (const char* name : {"zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"}) {
    EXPECT_EQ(defense::make_method(name, s, 784).step_queries, 49) << name;
  }
}

TEST(Method, WhiteBoxMethodsAskNoEstimate) {
  const auto m = defense::make_method("fo-ae-ds", with_latent(48), 784);
  EXPECT_TRUE(m.white_box);
  EXPECT_TRUE(m.autoencoder);
  EXPECT_EQ(m.step_queries, 0);
  EXPECT_FALSE(defense::make_method("none", with_latent(48), 784).trained);
}

TEST(Method, BudgetsAreSpentExactly) {
  const auto s = with_latent(48);
  for (const std::int64_t budget : {4, 8, 16, 49, 96}) {
    for (const auto& m : defense::methods_at_budget(budget, s, 784)) {
      EXPECT_EQ(m.step_queries, budget) << m.key;
    }
  }
  EXPECT_EQ(defense::methods_at_budget(192, s, 784).size(), 2U);  // CGE cannot use them up
  EXPECT_EQ(defense::sweep_budgets(s), (std::vector<std::int64_t>{4, 8, 16, 49, 96}));
}

TEST(Method, TheTableAndTheSweepShareTheSameRun) {
  const auto s = with_latent(48);
  const auto table = defense::make_method("zo-ae-ds-cge", s, 784);
  const auto sweep = defense::methods_at_budget(49, s, 784);
  EXPECT_TRUE(std::ranges::any_of(sweep, [&](const auto& m) { return m.key == table.key; }));
}

TEST(Method, CentralDifferencesCostTwicePerDirection) {
  const auto queries_of = [](const zo::estimator_options& how, std::int64_t dimension) {
    return zo::any_estimator<float>(how).queries(dimension);
  };
  EXPECT_EQ(queries_of(defense::make_rge(5, 0.1, "gaussian", "central"), 100), 10);
  EXPECT_EQ(queries_of(defense::make_cge(7, 7, 0.1, "central"), 7), 14);
}

}  // namespace
