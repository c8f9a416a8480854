// Directions as building blocks: the bits of the estimators' candidates and sums.
#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::rge;

template <class Pair>
struct perturb : testing::Test {
  using scalar = typename Pair::first_type;
  using distribution = typename Pair::second_type;
};
using pairs = testing::Types<std::pair<float, zo::gaussian>, std::pair<double, zo::gaussian>,
                             std::pair<float, zo::rademacher>, std::pair<double, zo::rademacher>,
                             std::pair<float, zo::sphere>, std::pair<double, zo::sphere>>;
TYPED_TEST_SUITE(perturb, pairs);

constexpr index_t dimensions[] = {1, 63, 2047, 2048, 2049, 70001};

TYPED_TEST(perturb, gives_the_bits_of_candidates) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  for (const index_t d : dimensions) {
    const auto x = ramp<T>(d);
    std::vector<std::vector<T>> asked;
    const auto f = [&](std::span<const T> at) {
      asked.push_back(copy_of(at));
      return 0.0;
    };
    std::vector<T> g(x.size());
    const double mu = 0.01;
    zo::estimate(zo::seq, f, x, g, rge({.directions = 2, .smoothing = mu}, kind, central{}),
                 {.seed = 7, .step = 3});
    ASSERT_EQ(asked.size(), 4u);
    for (std::uint32_t j = 0; j < 4; ++j) {
      const zo::stream from{.seed = 7, .step = 3, .number = j / 2};
      const T h = static_cast<T>(j % 2 == 0 ? mu : -mu);
      std::vector<T> apart(x.size()), in_place = x;
      zo::perturb(zo::par.with_threads(3), kind, from, x, h, apart);
      zo::perturb(zo::seq, kind, from, in_place, h, in_place);
      EXPECT_TRUE(same_bits(apart, asked[j])) << d;
      EXPECT_TRUE(same_bits(in_place, asked[j])) << d;
    }
  }
}

TYPED_TEST(perturb, accumulates_a_chain_of_directions) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  for (const index_t d : dimensions) {
    for (const std::uint32_t q : {1u, 4u, 7u}) {
      const auto start = ramp<T>(d);
      std::vector<T> weights, chained = start;
      for (std::uint32_t k = 0; k < q; ++k) {
        weights.push_back(static_cast<T>(0.3 - 0.21 * k));
        const zo::stream from{.seed = 5, .step = 8, .number = 2 + k};
        zo::perturb(zo::seq, kind, from, chained, weights.back(), chained);
      }
      for (const int threads : {1, 2, 5}) {
        auto x = start;
        zo::accumulate(zo::par.with_threads(threads), kind, {.seed = 5, .step = 8, .number = 2},
                       weights, x);
        EXPECT_TRUE(same_bits(x, chained)) << d << " " << q;
      }
    }
  }
}

TYPED_TEST(perturb, is_x_and_a_filled_direction) {
  using T = typename TestFixture::scalar;
  const typename TestFixture::distribution kind;
  const index_t d = 5000;
  const zo::stream from{.seed = 1, .step = 2, .number = 3};
  const std::vector<T> zeros(static_cast<std::size_t>(d));
  std::vector<T> u(zeros.size());
  zo::perturb(zo::seq, kind, from, zeros, T(1), u);
  EXPECT_TRUE(same_bits(u, direction<T>(kind, from, d)));
}

TEST(perturb_errors, are_sentences) {
  std::vector<double> x(10), y(9), w(1);
  const auto perturbed = [&](auto from, auto to) {
    return complaint([&] { zo::perturb(zo::seq, zo::gaussian{}, {}, from, 0.1, to); });
  };
  using view = std::span<double>;
  EXPECT_EQ(perturbed(view(x), view(y)),
            "zo::perturb: out must have as many coordinates as x, got 9 and 10");
  EXPECT_EQ(perturbed(view(x).first(6), view(x).last(6)),
            "zo::perturb: out must be x itself or lie apart from it");
  EXPECT_EQ(perturbed(view(), view()), "zo::perturb: x has no coordinates; give at least 1");
  const auto accumulated = [&](auto weights, auto to) {
    return complaint([&] { zo::accumulate(zo::seq, zo::gaussian{}, {}, weights, to); });
  };
  EXPECT_EQ(accumulated(view(), view(x)), "zo::accumulate: weights must hold at least 1 number");
  EXPECT_EQ(accumulated(view(x).first(1), view(x)), "zo::accumulate: weights must not overlap x");
  EXPECT_EQ(accumulated(view(w), view()), "zo::accumulate: x has no coordinates; give at least 1");
}

}  // namespace
