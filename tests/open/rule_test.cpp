// A rule and a set of a foreign namespace do all that zo's own do.
#include "open/rule.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using elsewhere::lion;
using elsewhere::quarters;

static_assert(zo::optimizer_rule<lion, float> && zo::optimizer_rule<lion, double>);
static_assert(!zo::optimizer_rule<quarters, double>);

TEST(foreign_rule, moves_as_it_says) {
  zo::updater<lion, double> updater(lion(0.25), 2);
  std::vector<double> x{1, 3};
  const std::vector<double> g{-2, 0};
  EXPECT_TRUE(updater.step(zo::seq, std::span(x), std::span(g)));
  EXPECT_EQ(x, (std::vector<double>{-0.875, 0.875}));  // {1.25, 3} less their mean
  ASSERT_EQ(updater.state().size(), 3u);
  EXPECT_EQ(updater.state()[0][0], -0.5);
  EXPECT_EQ(updater.state()[1][0], 2);
  EXPECT_EQ(updater.state()[2][1], 1);
  EXPECT_EQ(updater.steps(), 1u);
}

TEST(foreign_rule, has_the_same_bits_for_every_policy) {
  const auto g = ramp<float>(40000, -1, 0.3);
  const auto after = [&](const auto& policy) {
    auto x = ramp<float>(40000);
    zo::updater<lion, float> updater(lion(0.01), 40000);
    for (int k = 0; k < 3; ++k) updater.step(policy, std::span(x), std::span(g));
    for (const auto& part : updater.state()) x.insert(x.end(), part.begin(), part.end());
    return x;
  };
  EXPECT_TRUE(same_bits(after(zo::par.with_threads(3)), after(zo::seq)));
}

TEST(foreign_rule, says_when_it_leaves_the_numbers) {
  std::vector<float> x(40000, 1.0f), g(x.size(), 0.5f);
  g[30000] = std::numeric_limits<float>::infinity();
  zo::updater<lion, float> updater(lion(0.01), 40000);
  EXPECT_FALSE(updater.step(zo::par.with_threads(2), std::span(x), std::span<const float>(g)));
}

TEST(foreign_rule, makes_whole_runs_and_goes_on) {
  auto f = [](std::span<const double> x) {
    return (x[0] - 2) * (x[0] - 2) + (x[1] + 2) * (x[1] + 2);
  };
  std::vector<double> whole{0, 0}, parts{0, 0};
  const zo::cge how({}, zo::central{});
  zo::minimize(zo::seq, f, whole, how, lion(0.05), {.max_queries = 400});
  EXPECT_NEAR(whole[0], 2, 0.1);
  EXPECT_NEAR(whole[0] + whole[1], 0, 1e-12);
  zo::updater<lion, double> kept(lion(0.05), 2);
  for (const std::uint64_t done : {0u, 40u}) {
    zo::minimize(zo::seq, f, parts, how, kept,
                 {.max_queries = 400, .max_steps = done == 0 ? 40 : 59, .first_step = done});
  }
  EXPECT_TRUE(same_bits(parts, whole));
}

TEST(foreign_rule, can_be_wrapped_and_so_can_a_foreign_set) {
  std::vector<double> x{0.3, 0.9}, y = x;
  const std::vector<double> g{-1, -4};
  auto inner = zo::projected(zo::sgd({.rate = 1}), quarters{}).start<double>(2);
  inner.step(zo::seq, std::span(x), std::span(g));
  EXPECT_EQ(x, (std::vector<double>{1.25, 2}));
  auto outer = zo::proximal(zo::projected(lion(0.5), quarters{}), zo::l1(0.5)).start<double>(2);
  outer.step(zo::seq, std::span(y), std::span(g));  // {0.8, 1.4}, {-0.3, 0.3}, {-0.25, 0.25}
  EXPECT_EQ(y, (std::vector<double>{0, 0}));
}

}  // namespace
