// Vector-Jacobian products of black boxes with vector answers.
#include "zo/pullback.hpp"

#include "support.hpp"
#include "vector_forms.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::flaw;
using zo::on_failure;
using zo::points;
using zo::rge;

std::vector<double> weights_of(index_t count) {
  std::vector<double> v;
  for (index_t k = 0; k < count; ++k) v.push_back(0.25 * static_cast<double>(k % 9) - 0.875);
  return v;
}

// Jᵀ v of row 0.
std::vector<double> exact(const std::vector<double>& x, const std::vector<double>& v) {
  std::vector<double> g(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t k = 0; k < v.size(); ++k) {
      g[i] += v[k] * smooth_slope(std::span<const double>(x), k, i);
    }
  }
  return g;
}

TEST(pullback, cge_is_the_product_with_the_exact_jacobian) {
  const auto x = ramp<double>(13);
  const auto v = weights_of(29);
  std::atomic<index_t> count{0};
  const auto forward =
      zo::pullback(zo::seq, writing_form<double>{&count}, x, v, cge({.smoothing = 1e-7}));
  EXPECT_EQ(forward.queries, 1 + 13);
  EXPECT_EQ(count, 14);
  const auto two_sided = zo::pullback(zo::seq, writing_form<double>{&count}, x, v,
                                      cge({.smoothing = 1e-5}, central{}));
  EXPECT_EQ(two_sided.queries, 1 + 26);
  const auto want = exact(x, v);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(forward.gradients[i], want[i], 3e-6);
    EXPECT_NEAR(two_sided.gradients[i], want[i], 2e-9);
  }
  std::vector<double> y(29);
  smooth_map<double>(x, y);
  EXPECT_TRUE(same_bits(forward.y, y));
}

// The same numbers as zo::estimate of <v, F(.) - F(x)>, which is the definition.
template <class How>
void check_definition(const How& how, index_t base) {
  const auto x = ramp<double>(70);
  const auto v = weights_of(40);
  std::vector<double> at_x(v.size());
  smooth_map<double>(x, at_x);
  const auto paired = [&](std::span<const double> at) {
    std::vector<double> y(v.size()), lane(16);
    smooth_map<double>(at, y);
    for (std::size_t k = 0; k < v.size(); ++k) {  // the documented order: 16 lanes, then a tree
      const double product = v[k] * (y[k] - at_x[k]);
      lane[k % 16] += product;
    }
    for (std::size_t half = 8; half >= 1; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    return lane[0];
  };
  std::vector<double> want(x.size());
  const auto estimated = zo::estimate(zo::seq, paired, x, want, how, {.seed = 7, .step = 3});
  std::atomic<index_t> count{0};
  const auto got =
      zo::pullback(zo::seq, writing_form<double>{&count}, x, v, how, {.seed = 7, .step = 3});
  EXPECT_TRUE(same_bits(got.gradients, want));
  EXPECT_EQ(got.queries, estimated.queries + base);
}

TEST(pullback, is_the_estimate_of_the_paired_answers) {
  check_definition(rge({.directions = 5, .smoothing = 1e-4}), 0);
  check_definition(rge({.directions = 5, .smoothing = 1e-4}, zo::sphere{}), 0);
  check_definition(rge({.directions = 5, .smoothing = 1e-4}, zo::rademacher{}, central{}), 1);
  check_definition(cge({.smoothing = 1e-4}), 0);
  check_definition(cge({.smoothing = 1e-4, .coordinates = zo::coordinate_list{{3, 60}}}), 0);
  check_definition(cge({.smoothing = 1e-4, .coordinates = zo::random_coordinates{9}}, central{}),
                   1);
  check_definition(zo::any_estimator<double>(zo::estimator_options{.directions = 3}), 0);
}

template <class T>
zo::pullback_result<T> one_row(const auto& policy, auto&& f, const zo::estimate_options& options) {
  const auto x = ramp<T>(50);
  std::vector<T> v;
  for (const double one : weights_of(33)) v.push_back(static_cast<T>(one));
  return zo::pullback(policy, f, x, v, rge({.directions = 7, .smoothing = 1e-2}, zo::sphere{}),
                      options);
}

template <class T>
void check_forms() {
  std::atomic<index_t> count{0};
  const auto want = one_row<T>(zo::seq, writing_form<T>{&count}, {.seed = 2});
  const auto expect_same = [&](const zo::pullback_result<T>& got) {
    EXPECT_TRUE(same_bits(got.gradients, want.gradients));
    EXPECT_TRUE(same_bits(got.y, want.y));
    EXPECT_EQ(got.queries, 8);
  };
  for (const int threads : {1, 2, 4}) {
    for (const index_t chunk_bytes : {index_t{1}, index_t{1500}, index_t{1} << 26}) {
      const auto par = zo::par.with_threads(threads);
      const zo::estimate_options options{.seed = 2, .chunk_bytes = chunk_bytes};
      count = 0;
      expect_same(one_row<T>(par, writing_form<T>{&count}, options));
      expect_same(one_row<T>(par, returning_form<T>{&count, 33}, options));
      expect_same(one_row<T>(par, sampled_map_form<T>{&count}, options));
      expect_same(one_row<T>(par, row_form<T>{&count}, options));
      expect_same(one_row<T>(par, rowwise_map_form<T>{&count}, options));
      batch_map_form<T> batch{&count};
      expect_same(one_row<T>(par, batch, options));
      EXPECT_EQ(count, 6 * 8);
      // Points and answers of a call together stay within the bytes; one at least.
      const auto numbers = static_cast<index_t>(sizeof(T)) * (50 + 33);
      EXPECT_LE(batch.most, std::max(index_t{1}, chunk_bytes / numbers));
    }
  }
}

TEST(pullback, every_form_policy_and_chunk_gives_the_same_bits) {
  check_forms<float>();
  check_forms<double>();
}

TEST(pullback, rows_are_independent_and_have_cotangents_of_their_own) {
  const index_t rows = 3, n = 11, m = 6;
  const auto x = ramp<double>(rows * n);
  const auto v = weights_of(rows * m);
  std::atomic<index_t> count{0};
  const auto got = zo::pullback(zo::par, row_form<double>{&count}, points<double>{x, rows, n},
                                points<double>{v, rows, m}, cge({.smoothing = 1e-6}, central{}));
  EXPECT_EQ(got.queries, rows * (1 + 2 * n));
  EXPECT_EQ(count, got.queries);
  for (index_t b = 0; b < rows; ++b) {
    const std::vector<double> at(x.begin() + b * n, x.begin() + (b + 1) * n);
    const std::vector<double> along(v.begin() + b * m, v.begin() + (b + 1) * m);
    const auto want = exact(at, along);
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got.gradients[static_cast<std::size_t>(b * n) + i],
                  static_cast<double>(b + 1) * want[i], 1e-8);
    }
  }
  // One cotangent for all.
  std::vector<double> repeated;
  for (index_t b = 0; b < rows; ++b) repeated.insert(repeated.end(), v.begin(), v.begin() + m);
  const std::vector<double> first(v.begin(), v.begin() + m);
  const rge how({.directions = 4});
  const auto shared = zo::pullback(zo::seq, row_form<double>{&count}, points<double>{x, rows, n},
                                   points<double>{first, 1, m}, how);
  const auto each = zo::pullback(zo::seq, row_form<double>{&count}, points<double>{x, rows, n},
                                 points<double>{repeated, rows, m}, how);
  EXPECT_TRUE(same_bits(shared.gradients, each.gradients));
}

TEST(pullback, known_answers_are_not_asked_again) {
  const auto x = ramp<double>(9);
  const auto v = weights_of(5);
  std::atomic<index_t> count{0};
  const rge how({.directions = 3});
  const auto asked = zo::pullback(zo::seq, writing_form<double>{&count}, x, v, how);
  EXPECT_EQ(count, 4);
  const auto known = zo::pullback(zo::seq, writing_form<double>{&count}, x, v, how, {}, asked.y);
  EXPECT_EQ(count, 4 + 3);
  EXPECT_EQ(known.queries, 3);
  EXPECT_TRUE(same_bits(known.gradients, asked.gradients));
}

// A linear map: g = (1/q) sum of <a, u> u with a = Jᵀ v, whose mean is a, and whose variance is
// (|a|² + a_i²) / q for normal directions, (|a|² - a_i²) / q for signs.
TEST(pullback, is_unbiased_with_the_known_variance) {
  const std::size_t n = 12, m = 7;
  const auto x = ramp<double>(n);
  const auto v = weights_of(m);
  const auto linear = [](std::span<const double> at, std::span<double> y) {
    for (std::size_t k = 0; k < y.size(); ++k) {
      y[k] = 1;
      for (std::size_t i = 0; i < at.size(); ++i) {
        y[k] += (static_cast<double>((3 * k + 5 * i) % 7) - 3) * at[i];
      }
    }
  };
  std::vector<double> a(n);
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < m; ++k) {
      a[i] += v[k] * (static_cast<double>((3 * k + 5 * i) % 7) - 3);
    }
    squares += a[i] * a[i];
  }
  const index_t q = 40'000;
  const auto check = [&](const std::vector<double>& g, double sign) {
    double chi = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double z =
          (g[i] - a[i]) / std::sqrt((squares + sign * a[i] * a[i]) / static_cast<double>(q));
      EXPECT_LT(std::abs(z), 4) << i;
      chi += z * z;
    }
    EXPECT_GT(chi, 2.2);  // 12 degrees of freedom: 1 in 1,000 on either side
    EXPECT_LT(chi, 32.9);
  };
  check(zo::pullback(zo::par, linear, x, v, rge({.directions = q, .smoothing = 1e-3}), {.seed = 3})
            .gradients,
        1);
  check(zo::pullback(zo::par, linear, x, v,
                     rge({.directions = q, .smoothing = 1e-3}, zo::rademacher{}, central{}),
                     {.seed = 4})
            .gradients,
        -1);
}

TEST(pullback, differences_are_formed_before_the_product) {
  // Answers near 1e4 whose losses would swamp the difference of one number by their rounding.
  const auto map = [](std::span<const float> x, std::span<float> y) {
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = k == 0 ? x[0] * x[1] : 1e4F;
  };
  const std::vector<float> x{0.5F, 0.25F};
  const std::vector<float> v{1, 1, 1, 1};
  const auto got = zo::pullback(zo::seq, map, x, v, cge({.smoothing = 0x1p-7}));
  EXPECT_EQ(got.gradients, (std::vector<float>{0.25F, 0.5F}));
}

TEST(pullback, a_map_may_answer_differences_itself) {
  const auto x = ramp<float>(13);
  std::vector<float> v;
  for (const double one : weights_of(29)) v.push_back(static_cast<float>(one));
  std::atomic<index_t> count{0};
  const auto want = exact(widened(x), widened(v));
  const auto by_itself = zo::pullback(zo::seq, difference_form<float>{&count}, x, v,
                                      cge({.smoothing = 1e-3}, central{}));
  EXPECT_EQ(by_itself.queries, 27);
  EXPECT_EQ(count, 27);
  const auto by_values =
      zo::pullback(zo::seq, writing_form<float>{&count}, x, v, cge({.smoothing = 1e-3}, central{}));
  double worst = 0, worst_by_values = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(by_itself.gradients[i]) - want[i]));
    worst_by_values =
        std::max(worst_by_values, std::abs(static_cast<double>(by_values.gradients[i]) - want[i]));
  }
  EXPECT_LT(worst, 5e-6);
  EXPECT_GT(worst_by_values, 5e-5);
}

TEST(pullback, a_map_that_takes_the_policy_is_told_it) {
  const auto x = ramp<double>(13);
  const auto v = weights_of(29);
  std::atomic<index_t> count{0};
  const auto plain = zo::pullback(zo::seq, difference_form<double>{&count}, x, v, cge());
  const auto expect_told = [&](const auto& policy) {
    threaded_difference_form<double> f{{&count}};
    const auto got = zo::pullback(policy, f, x, v, cge());
    EXPECT_EQ(got.gradients, plain.gradients);
    EXPECT_EQ(f.threads, std::vector<int>(2, policy.threads()));  // at x, and all candidates
  };
  expect_told(zo::seq);
  expect_told(zo::par.with_threads(3));
}

// Failures ---------------------------------------------------------------------------------------

enum class ill { throws, nan, silent, shrinks };

// Fails where coordinate 2 is moved (`at_x`: at x too).
struct failing {
  ill how;
  bool at_x;
  std::vector<double> x;
  std::vector<double> operator()(std::span<const double> at) const {
    std::vector<double> y(5);
    smooth_map<double>(at, y);
    if (!at_x && at[2] == x[2]) return y;
    if (how == ill::throws) throw std::runtime_error("the solver diverged");
    if (how == ill::nan) y[3] = not_a_number;
    if (how == ill::silent) return {};
    if (how == ill::shrinks) y.pop_back();
    return y;
  }
};

TEST(pullback, a_failed_query_is_left_out) {
  const auto x = ramp<double>(6);
  const auto v = weights_of(5);
  std::atomic<index_t> count{0};
  auto want = zo::pullback(zo::seq, writing_form<double>{&count}, x, v, cge()).gradients;
  want[2] = 0;
  const std::pair<ill, const char*> all[] = {
      {ill::throws, "the solver diverged"},
      {ill::nan, "a number of the answer is not finite, or was not written"},
      {ill::silent, "must answer 5 numbers at every point, and answered 0"},
      {ill::shrinks, "must answer 5 numbers at every point, and answered 4"}};
  for (const auto& [how, sentence] : all) {
    const auto got =
        zo::pullback(zo::par, failing{how, false, x}, x, v, cge({.failures = on_failure::drop}));
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.failed, 1);
    EXPECT_EQ(got.queries, 7);
    EXPECT_TRUE(same_bits(got.gradients, want));
    ASSERT_NE(got.failure, nullptr);
    EXPECT_TRUE(contains(got.failure->why, sentence)) << got.failure->why;
    EXPECT_GT(got.failure->point[2], x[2]);
    // At x itself nothing is left to start from.
    const auto none =
        zo::pullback(zo::seq, failing{how, true, x}, x, v, cge({.failures = on_failure::drop}));
    EXPECT_FALSE(none.ok);
    EXPECT_EQ(none.why, flaw::query_failed);
    EXPECT_EQ(none.queries, 1);
    EXPECT_TRUE(contains(none.failure->why, sentence)) << none.failure->why;
    EXPECT_TRUE(same_bits(none.gradients, std::vector<double>(6)));
  }
}

TEST(pullback, a_failed_query_stops) {
  const auto x = ramp<double>(6);
  const auto v = weights_of(5);
  for (const bool at_x : {false, true}) {
    const auto nan = zo::pullback(zo::seq, failing{ill::nan, at_x, x}, x, v, cge());
    EXPECT_FALSE(nan.ok);
    EXPECT_EQ(nan.why, flaw::query_failed);
    EXPECT_TRUE(same_bits(nan.gradients, std::vector<double>(6)));
    for (const ill how : {ill::throws, ill::silent, ill::shrinks}) {
      EXPECT_THROW(zo::pullback(zo::seq, failing{how, at_x, x}, x, v, cge()), std::runtime_error);
    }
  }
}

TEST(pullback, what_is_not_written_is_a_failed_query) {
  const auto x = ramp<double>(3);
  const auto v = weights_of(4);
  const auto silent = [](std::span<const double>, std::span<double>) {};
  const auto partial = [](points<double> at, std::span<double> ys) {
    for (std::size_t k = 0; k + 1 < ys.size(); ++k) ys[k] = at.data[0];
  };
  EXPECT_EQ(zo::pullback(zo::seq, silent, x, v, cge()).why, flaw::query_failed);
  EXPECT_EQ(zo::pullback(zo::seq, partial, x, v, cge()).why, flaw::query_failed);
}

TEST(pullback, a_row_that_fails_at_x_has_no_gradient) {
  const index_t rows = 3, n = 4;
  const auto x = ramp<double>(rows * n);
  const auto v = weights_of(5);
  const auto map = [](std::span<const double> at, index_t row, std::span<double> y) {
    if (row == 1) throw std::runtime_error("no mesh");
    smooth_map(at, y, row);
  };
  for (const bool two_sided : {false, true}) {
    const zo::any_estimator<double> how(
        zo::estimator_options{.estimator = "cge",
                              .scheme = two_sided ? "central" : "forward",
                              .failures = on_failure::drop});
    const auto got =
        zo::pullback(zo::seq, map, points<double>{x, rows, n}, points<double>{v, 1, 5}, how);
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.failure->why, "no mesh");
    EXPECT_EQ(got.failure->row, 1);
    for (index_t i = 0; i < rows * n; ++i) {
      EXPECT_EQ(got.gradients[static_cast<std::size_t>(i)] == 0, i / n == 1);
    }
    EXPECT_THROW(
        zo::pullback(zo::seq, map, points<double>{x, rows, n}, points<double>{v, 1, 5}, cge()),
        std::runtime_error);
  }
}

TEST(pullback, an_interrupt_ends_the_call_under_every_policy) {
  const auto x = ramp<double>(3);
  const auto v = weights_of(4);
  const auto map = [](std::span<const double>, std::span<double>) {
    throw zo::interrupted("enough");
  };
  EXPECT_THROW(zo::pullback(zo::seq, map, x, v, cge({.failures = on_failure::drop})),
               zo::interrupted);
}

TEST(pullback, complains_in_sentences) {
  const auto x = ramp<double>(6);
  const auto v = weights_of(4);
  const auto f = [](std::span<const double> at, std::span<double> y) { smooth_map(at, y); };
  const auto said = [&](auto x_rows, auto v_rows, zo::estimate_options options = {},
                        std::span<const double> known = {}) {
    return complaint([&] { zo::pullback(zo::seq, f, x_rows, v_rows, cge(), options, known); });
  };
  using at = points<double>;
  EXPECT_EQ(said(at{x, 0, 6}, at{v, 1, 4}), "zo::pullback: x has no rows; give at least 1");
  EXPECT_EQ(said(at{x, 2, 6}, at{v, 1, 4}),
            "zo::pullback: x of 2 rows of 6 needs 12 numbers, got 6");
  EXPECT_EQ(said(at{x, 3, 2}, at{v, 2, 2}),
            "zo::pullback: v must have one row, or as many as x, got 2 and 3");
  EXPECT_EQ(said(at{x, 1, 6}, at{v, 1, 0}),
            "zo::pullback: v must have at least 1 number, as many as y");
  EXPECT_EQ(said(at{x, 1, 6}, at{v, 1, 3}),
            "zo::pullback: v of 1 rows of 3 needs 3 numbers, got 4");
  EXPECT_EQ(said(at{x, 1, 6}, at{v, 1, 4}, {}, x),
            "zo::pullback: known_y must be empty or have 4 numbers, got 6");
  EXPECT_EQ(said(at{x, 1, 6}, at{v, 1, 4}, {.known_values = v}),
            "zo::pullback: known_values are losses; hand answers that are known in as known_y");
  std::vector<double> bad = v;
  bad[1] = infinity;
  EXPECT_EQ(said(at{x, 1, 6}, at{bad, 1, 4}), "zo::pullback: a number of v is not finite");
}

}  // namespace
