// A law of another namespace, on the CPU: the same bits under every policy, and unbiased.
#include "laws.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using elsewhere::cube;
using elsewhere::cube_directions;
using elsewhere::sparse_signs;

static_assert(zo::direction_law<cube> && zo::direction_law<sparse_signs>);
static_assert(!zo::detail::is_compiled<cube> && zo::detail::is_compiled<zo::gaussian>);

template <class Run>
void for_each_law(const Run& run) {
  run(cube{});
  run(sparse_signs{});
}

// raw_value is the definition.
template <class T, class L>
void expect_raw_values(L) {
  const zo::stream at{77, 3, 9};
  for (const index_t count : {1, 15, 17, 63, 127, 128, 129, 2047, 2048, 2049, 6151}) {
    const std::vector<T> x = ramp<T>(count), weights = ramp<T>(5, 0.3, -0.11);
    std::vector<T> out(x.size()), sum = x;
    zo::detail::perturb<L>(at, 0, count, x.data(), T(0.37), out.data());
    zo::detail::accumulate<L>(at, 5, weights.data(), 0, count, sum.data());
    double squares = 0;
    for (index_t i = 0; i < count; ++i) {
      const auto n = static_cast<std::size_t>(i);
      const auto raw = static_cast<T>(zo::detail::raw_value<L>(at, i));
      ASSERT_EQ(out[n], std::fma(T(0.37), raw, x[n])) << i << " of " << count;
      T expected = x[n];
      for (std::uint32_t k = 0; k < 5; ++k) {
        const float of_k = zo::detail::raw_value<L>({77, 3, 9 + k}, i);
        expected = std::fma(weights[k], static_cast<T>(of_k), expected);
      }
      ASSERT_EQ(sum[n], expected) << i << " of " << count;
      squares += static_cast<double>(raw) * static_cast<double>(raw);
    }
    EXPECT_NEAR(zo::detail::sum_of_squares<L>(at, 0, count), squares, 1e-12 * squares);
  }
}

TEST(own_law, sums_are_those_of_the_raw_values) {
  for_each_law([](auto law) {
    expect_raw_values<float>(law);
    expect_raw_values<double>(law);
  });
}

TEST(own_law, values_are_the_words) {
  const zo::stream at{1, 2, 3};
  for (const index_t i : {0, 1, 16, 65, 128, 4000}) {
    const auto block = static_cast<std::uint32_t>(i / 64 * 16 + i % 16);
    const auto words = at.words(block);
    const std::uint32_t all[] = {words.w0, words.w1, words.w2, words.w3};
    EXPECT_EQ(zo::detail::raw_value<cube>(at, i), cube::of_word(all[i / 16 % 4])) << i;
  }
  for (const index_t i : {0, 1, 16, 65, 128, 4000}) {
    const auto block = static_cast<std::uint32_t>(i / 128 * 16 + i % 16);
    const auto words = at.words(block);
    const std::uint32_t all[] = {words.w0, words.w1, words.w2, words.w3};
    const std::uint32_t word = all[i / 32 % 4];
    const std::uint32_t half = i / 16 % 2 == 0 ? word & 0xffffu : word >> 16;
    EXPECT_EQ(zo::detail::raw_value<sparse_signs>(at, i), sparse_signs::of_half(half)) << i;
  }
}

template <class T>
struct lazy_squares {
  template <class Part>
  double part(const Part& x) const {
    double sum = 0;
    x.each([&](index_t i, T v) {
      const auto a = static_cast<double>(v) - 0.25 * static_cast<double>(i % 5);
      sum += a * a;
    });
    return sum;
  }
};

// Every policy and form of an objective: the bits of the first.
template <class T, class D, class S>
void expect_same_estimates(D d, S s) {
  const index_t dimension = 5000;
  const std::vector<T> x = ramp<T>(dimension);
  const zo::rge how({.directions = 6}, d, s);
  const zo::estimate_options options{.seed = 3, .step = 8};
  std::atomic<index_t> count{0};
  std::vector<T> first(x.size()), g(x.size());
  const scalar_form<T> f{&count};
  const auto result = zo::estimate(zo::seq, f, x, first, how, options);
  ASSERT_TRUE(result.ok);
  EXPECT_EQ(result.queries, how.queries(dimension));
  for (const int threads : {1, 2, 5}) {
    const auto par = zo::par.with_threads(threads);
    EXPECT_EQ(zo::estimate(par, f, x, g, how, options).value, result.value);
    EXPECT_TRUE(same_bits(g, first)) << threads;
    zo::estimate(par, batch_form<T>{&count}, x, g, how, options);
    EXPECT_TRUE(same_bits(g, first)) << threads;
  }
  std::vector<T> lazy(x.size());
  const auto whole = [](std::span<const T> at) {
    return zo::detail::whole_loss<lazy_squares<T>, T>({}, at, 0);
  };
  zo::estimate(zo::seq, whole, x, first, how, options);
  zo::estimate(zo::par, lazy_squares<T>{}, x, lazy, how, options);
  EXPECT_TRUE(same_bits(lazy, first));
}

TEST(own_law, estimates_have_the_same_bits_under_every_policy) {
  expect_same_estimates<float>(cube{}, zo::forward{});
  expect_same_estimates<double>(cube{}, zo::central{});
  expect_same_estimates<float>(sparse_signs{}, zo::central{});
  expect_same_estimates<double>(sparse_signs{}, zo::forward{});
  expect_same_estimates<double>(cube_directions{}, zo::central{});
}

TEST(own_law, serves_the_boundary_and_whole_runs) {
  for_each_law([](auto law) {
    std::atomic<index_t> count{0};
    const index_t rows = 3, dimension = 200;
    const std::vector<double> z = ramp<double>(rows * dimension);
    const zo::points<double> at{z, rows, dimension};
    const zo::rge how({.directions = 4}, law, zo::central{});
    const auto seq = zo::boundary(zo::seq, rowwise_form<double>{&count}, at, how);
    const auto par = zo::boundary(zo::par, rowwise_form<double>{&count}, at, how);
    EXPECT_TRUE(seq.ok);
    EXPECT_TRUE(same_bits(seq.gradients, par.gradients));
    EXPECT_EQ(seq.losses, par.losses);

    std::vector<double> a = ramp<double>(50), b = a;
    const zo::minimize_options options{.max_queries = 2000};
    const scalar_form<double> f{&count};
    const double before = smooth_loss(std::span<const double>(a));
    const auto run = zo::minimize(zo::seq, f, a, how, zo::adam({.rate = 0.05}), options);
    zo::minimize(zo::par, f, b, how, zo::adam({.rate = 0.05}), options);
    EXPECT_TRUE(same_bits(a, b));
    EXPECT_LT(run.value, before);
  });
}

// The mean over many estimates of a linear objective, and its stated variance.
template <class L>
void expect_unbiased(L law, index_t q) {
  const index_t dimension = 20;
  const auto a = ramp<double>(dimension, 0.5, 0.25), x = ramp<double>(dimension);
  const auto f = [&](std::span<const double> at) { return dot(at, a); };
  const double draws = 3000;
  std::vector<double> sum(x.size(), 0.0), g(x.size());
  const zo::rge how({.directions = q, .smoothing = 0.5}, law, zo::forward{});
  for (std::uint64_t step = 0; step < static_cast<std::uint64_t>(draws); ++step) {
    zo::estimate(zo::seq, f, x, g, how, {.seed = 17, .step = step});
    for (std::size_t i = 0; i < g.size(); ++i) sum[i] += g[i];
  }
  const double a2 = reference::dot(a, a), c = L::scale(dimension);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double own = a[i] * a[i];
    // c² E[(a·u)² u_i²] - a_i², with c E[u_i²] = 1
    const double variance = c * c * L::fourth_moment * own + (a2 - own) - own;
    const double z = (sum[i] / draws - a[i]) / std::sqrt(variance / draws / static_cast<double>(q));
    EXPECT_LT(std::abs(z), 4.5) << "coordinate " << i << " of " << q << " directions";
  }
}

TEST(own_law, estimates_are_unbiased) {
  for_each_law([](auto law) {
    expect_unbiased(law, 1);
    expect_unbiased(law, 8);
  });
}

TEST(own_law, directions_have_unit_norm_where_they_say_so) {
  const auto u = direction<double>(cube_directions{}, {1, 2, 3}, 3000);
  EXPECT_NEAR(reference::dot(u, u), 1, 1e-12);
}

}  // namespace
