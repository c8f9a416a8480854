// Slopes along directions of the user's own.
#include "zo/quadrature.hpp"

#include "support.hpp"
#include "vector_forms.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::on_failure;
using zo::quadrature;

std::vector<double> unit_vectors(index_t d) {
  std::vector<double> u(static_cast<std::size_t>(d * d));
  for (index_t i = 0; i < d; ++i) u[static_cast<std::size_t>(i * d + i)] = 1;
  return u;
}

TEST(quadrature, unit_vectors_of_weight_one_are_cge) {
  const index_t d = 11;
  const std::vector<double> x(d, 0.5);
  std::atomic<index_t> count{0};
  const quadrature how({.directions = unit_vectors(d),
                        .weights = std::vector<double>(d, 1.0),
                        .smoothing = 0x1p-10});
  EXPECT_EQ(how.queries(d), 12);
  std::vector<double> g(d), want(d);
  const auto r = zo::estimate(zo::seq, scalar_form<double>{&count}, x, g, how);
  EXPECT_EQ(r.queries, 12);
  zo::estimate(zo::seq, scalar_form<double>{&count}, x, want, cge({.smoothing = 0x1p-10}));
  EXPECT_TRUE(same_bits(g, want));
}

// The naive sum, direction by direction.
template <class T>
void check_sum(bool two_sided) {
  const index_t d = 5, k = 7;
  std::vector<double> u, w;
  for (index_t i = 0; i < k * d; ++i) u.push_back(0.125 * static_cast<double>(i % 17) - 1);
  for (index_t i = 0; i < k; ++i) w.push_back(0.0625 * static_cast<double>(i + 1));
  const auto x = ramp<T>(d);
  const T mu = T(0x1p-8);
  const auto f = [](std::span<const T> at) { return smooth_loss(at); };
  std::vector<T> want(d);
  for (index_t i = 0; i < k; ++i) {
    std::vector<T> up = x, down = x;
    for (index_t c = 0; c < d; ++c) {
      const auto at = static_cast<std::size_t>(c);
      up[at] = std::fma(mu, static_cast<T>(u[static_cast<std::size_t>(i * d + c)]), x[at]);
      down[at] = std::fma(-mu, static_cast<T>(u[static_cast<std::size_t>(i * d + c)]), x[at]);
    }
    const double rise = two_sided ? (f(up) - f(down)) / (2 * static_cast<double>(mu))
                                  : (f(up) - f(x)) / static_cast<double>(mu);
    const T weight = static_cast<T>(w[static_cast<std::size_t>(i)] * rise);
    for (index_t c = 0; c < d; ++c) {
      const auto at = static_cast<std::size_t>(c);
      want[at] = std::fma(weight, static_cast<T>(u[static_cast<std::size_t>(i * d + c)]), want[at]);
    }
  }
  for (const int threads : {1, 2, 4}) {
    std::vector<T> g(d);
    const zo::quadrature_options options{.directions = u, .weights = w, .smoothing = 0x1p-8};
    if (two_sided) {
      zo::estimate(zo::par.with_threads(threads), f, x, g, quadrature(options, central{}));
    } else {
      zo::estimate(zo::par.with_threads(threads), f, x, g, quadrature(options));
    }
    EXPECT_TRUE(same_bits(g, want));
  }
}

TEST(quadrature, is_the_weighted_sum_of_slopes) {
  check_sum<double>(false);
  check_sum<double>(true);
  check_sum<float>(false);
  check_sum<float>(true);
}

TEST(quadrature, serves_pullback_boundary_and_runs) {
  const index_t d = 6;
  const std::vector<double> x(d, 0.25), v{1, -2, 0.5};
  std::atomic<index_t> count{0};
  const quadrature how({.directions = unit_vectors(d),
                        .weights = std::vector<double>(d, 1.0),
                        .smoothing = 0x1p-12});
  const auto by_list = zo::pullback(zo::seq, writing_form<double>{&count}, x, v, how);
  const auto by_cge =
      zo::pullback(zo::seq, writing_form<double>{&count}, x, v, cge({.smoothing = 0x1p-12}));
  EXPECT_TRUE(same_bits(by_list.gradients, by_cge.gradients));
  std::vector<double> start(d, 0.25);
  const auto run = zo::minimize(zo::seq, scalar_form<double>{&count}, start, how,
                                zo::sgd({.rate = 0.1}), {.max_queries = 300});
  EXPECT_LT(run.value, smooth_loss(std::span<const double>(x)));
}

TEST(quadrature, a_failed_direction_is_left_out_and_the_others_keep_their_weights) {
  const index_t d = 3;
  const std::vector<double> x(d, 0.5);
  const auto f = [&](std::span<const double> at) {
    return at[1] != x[1] ? not_a_number : smooth_loss(at);
  };
  zo::quadrature_options options{.directions = unit_vectors(d),
                                 .weights = {1, 1, 1},
                                 .smoothing = 0x1p-10,
                                 .failures = on_failure::drop};
  std::vector<double> g(d), want(d);
  std::atomic<index_t> count{0};
  EXPECT_TRUE(zo::estimate(zo::seq, f, x, g, quadrature(options)).ok);
  zo::estimate(zo::seq, scalar_form<double>{&count}, x, want, cge({.smoothing = 0x1p-10}));
  want[1] = 0;
  EXPECT_TRUE(same_bits(g, want));
  options.failures = on_failure::stop;
  EXPECT_FALSE(zo::estimate(zo::seq, f, x, g, quadrature(options)).ok);
  EXPECT_TRUE(same_bits(g, std::vector<double>(d)));
}

TEST(quadrature, a_sum_beyond_the_scalar_type_is_no_estimate) {
  const std::vector<float> x{1};
  std::vector<float> g(1);
  const auto f = [](std::span<const float> at) { return static_cast<double>(at[0]); };
  const quadrature how({.directions = {1e30, 1e30}, .weights = {1e20, -1e20}, .smoothing = 1e-33});
  EXPECT_FALSE(zo::estimate(zo::seq, f, x, g, how).ok);
  EXPECT_EQ(g[0], 0);
}

TEST(quadrature, complains_in_sentences) {
  EXPECT_EQ(complaint([] { quadrature({.directions = {1}, .weights = {}}); }),
            "zo::quadrature: give at least 1 direction and its weight");
  EXPECT_EQ(complaint([] {
              quadrature({.directions = {1, 2, 3}, .weights = {1, 1}});
            }),
            "zo::quadrature: 3 numbers are no 2 directions, one for each weight");
  EXPECT_EQ(complaint([] { quadrature({.directions = {1}, .weights = {infinity}}); }),
            "zo::quadrature: a weight is inf; weights are finite");
  EXPECT_EQ(complaint([] { quadrature({.directions = {1}, .weights = {1}, .smoothing = 0}); }),
            "zo::quadrature: smoothing must be a positive number, got 0");
  const std::vector<double> x(3);
  std::vector<double> g(3);
  std::atomic<index_t> count{0};
  EXPECT_EQ(complaint([&] {
              zo::estimate(zo::seq, scalar_form<double>{&count}, x, g,
                           quadrature({.directions = {1, 0}, .weights = {1}}));
            }),
            "zo::quadrature: 1 directions of 3 numbers need 3, got 2");
}

}  // namespace
