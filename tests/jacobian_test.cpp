// Jacobians by differences, dense and colored, and products with one direction.
#include "zo/jacobian.hpp"

#include <random>

#include "support.hpp"
#include "vector_forms.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::coloring;
using zo::flaw;
using zo::on_failure;
using zo::points;

// A number with one derivative, the naive reference: rules of differentiation, nothing else.
struct dual {
  double value = 0, slope = 0;
};
dual operator+(dual a, dual b) { return {a.value + b.value, a.slope + b.slope}; }
dual operator*(dual a, dual b) {
  return {a.value * b.value, a.slope * b.value + a.value * b.slope};
}
dual sin(dual a) { return {std::sin(a.value), std::cos(a.value) * a.slope}; }
dual constant(double v, dual) { return {v, 0}; }
double constant(double v, double) { return v; }

// Row i has the columns of a pattern: y_i = sum of (k + 1) sin(x_j) + x_j x_first.
template <class Number>
void sparse_map(const zo::sparsity& pattern, const std::vector<Number>& x, std::vector<Number>& y) {
  using std::sin;
  for (index_t i = 0; i < pattern.rows; ++i) {
    Number sum = constant(0.5, x[0]);
    const index_t first = pattern.starts[static_cast<std::size_t>(i)];
    for (index_t k = first; k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
      const auto at = [&](index_t entry) {
        return x[static_cast<std::size_t>(pattern.indices[static_cast<std::size_t>(entry)])];
      };
      sum = sum + constant(static_cast<double>(k % 5 + 1), x[0]) * sin(at(k)) + at(k) * at(first);
    }
    y[static_cast<std::size_t>(i)] = sum;
  }
}

// Column by column, one number carried with its derivative at a time.
std::vector<double> dual_jacobian(const zo::sparsity& pattern, const std::vector<double>& x) {
  std::vector<double> values(pattern.indices.size());
  std::vector<dual> at(x.size()), y(static_cast<std::size_t>(pattern.rows));
  for (std::size_t i = 0; i < x.size(); ++i) at[i] = {x[i], 0};
  for (std::size_t j = 0; j < x.size(); ++j) {
    at[j].slope = 1;
    sparse_map(pattern, at, y);
    at[j].slope = 0;
    for (index_t i = 0; i < pattern.rows; ++i) {
      for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
           k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
        if (pattern.indices[static_cast<std::size_t>(k)] == static_cast<index_t>(j)) {
          values[static_cast<std::size_t>(k)] = y[static_cast<std::size_t>(i)].slope;
        }
      }
    }
  }
  return values;
}

template <class T = double>
struct pattern_map {
  const zo::sparsity* pattern;
  std::atomic<index_t>* count;
  void operator()(std::span<const T> x, std::span<T> y) const {
    ++*count;
    std::vector<double> at(x.begin(), x.end()), answer(y.size());
    sparse_map(*pattern, at, answer);
    std::ranges::transform(answer, y.begin(), [](double v) { return static_cast<T>(v); });
  }
};

zo::sparsity random_pattern(index_t rows, index_t columns, unsigned seed) {
  std::mt19937 random(seed);
  zo::sparsity pattern{rows, columns, {0}, {}};
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = columns - 1; j >= 0; --j) {
      if (random() % 12 == 0) pattern.indices.push_back(j);
    }
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  return pattern;
}

zo::sparsity arrow(index_t n) {
  zo::sparsity pattern{n, n, {0}, {}};
  for (index_t i = 0; i + 1 < n; ++i) {
    pattern.indices.insert(pattern.indices.end(), {i, n - 1});
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  for (index_t j = 0; j < n; ++j) pattern.indices.push_back(j);
  pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  return pattern;
}

TEST(jacobian, colored_is_what_dual_numbers_give) {
  const std::pair<zo::sparsity, index_t> all[] = {{zo::banded(400, 400, 1, 1), 4},
                                                  {zo::banded(31, 40, 3, 2), 7},
                                                  {arrow(30), 31},
                                                  {random_pattern(70, 50, 3), 0},
                                                  {random_pattern(300, 290, 4), 0}};
  for (const auto& [pattern, queries] : all) {
    const coloring colors(pattern);
    const auto x = ramp<double>(pattern.columns);
    const auto want = dual_jacobian(pattern, x);
    std::atomic<index_t> count{0};
    const pattern_map<> f{&pattern, &count};
    const auto forward = zo::jacobian(zo::seq, f, x, colors, cge({.smoothing = 1e-7}));
    EXPECT_EQ(forward.queries, queries > 0 ? queries : 1 + colors.colors());
    EXPECT_EQ(count, forward.queries);
    const auto two_sided = zo::jacobian(zo::seq, f, x, colors, cge({.smoothing = 1e-5}, central{}));
    EXPECT_EQ(two_sided.queries, 1 + 2 * colors.colors());
    ASSERT_EQ(forward.values.size(), want.size());
    for (std::size_t k = 0; k < want.size(); ++k) {
      EXPECT_NEAR(forward.values[k], want[k], 2e-6) << k;
      EXPECT_NEAR(two_sided.values[k], want[k], 1e-8) << k;
    }
    const auto checked = zo::jacobian_error(zo::seq, f, x, colors, two_sided, {.smoothing = 1e-7});
    EXPECT_EQ(checked.queries, 1);
    EXPECT_LT(checked.error, 1e-6);
  }
}

TEST(jacobian, dense_is_what_cge_gives_row_by_row) {
  const index_t n = 9, m = 5;
  const auto x = ramp<double>(n);
  std::atomic<index_t> count{0};
  const auto check = [&](const auto& how) {
    const auto j = zo::jacobian(zo::seq, writing_form<double>{&count}, x, m, how, {.seed = 3});
    for (index_t i = 0; i < m; ++i) {
      const auto row = [&](std::span<const double> at) {
        std::vector<double> y(m);
        smooth_map<double>(at, y);
        return y[static_cast<std::size_t>(i)];
      };
      std::vector<double> g(n);
      zo::estimate(zo::seq, row, x, g, how, {.seed = 3});
      EXPECT_TRUE(same_bits(
          g, std::vector<double>(j.values.begin() + i * n, j.values.begin() + (i + 1) * n)));
    }
  };
  check(cge({.smoothing = 1e-5}));
  check(cge({.smoothing = 1e-5}, central{}));
  check(cge({.smoothing = 1e-5, .relative = true}));
  check(cge({.smoothing = 1e-20}));  // the next number is asked instead
  check(cge({.smoothing = 1e-5, .coordinates = zo::coordinate_list{{7, 2}}}));
  check(cge({.smoothing = 1e-5, .coordinates = zo::random_coordinates{4}}, central{}));
}

template <class T>
void check_bits() {
  const auto pattern = random_pattern(300, 250, 5);
  const zo::sparsity thin = zo::banded(3000, 3000, 1, 2);
  for (const zo::sparsity* at : {&pattern, &thin}) {
    const coloring colors(*at);
    const auto x = ramp<T>(at->columns);
    std::atomic<index_t> count{0};
    const pattern_map<T> f{at, &count};
    const auto want = zo::jacobian(zo::seq, f, x, colors, cge({.smoothing = 1e-2}));
    EXPECT_TRUE(want.ok);
    zo::jacobian_workspace<T> memory;
    for (const int threads : {1, 2, 4}) {
      for (const index_t bytes : {index_t{1}, index_t{1} << 15, index_t{1} << 26}) {
        const auto& got =
            zo::jacobian(zo::par.with_threads(threads), f, x, colors, cge({.smoothing = 1e-2}),
                         {.chunk_bytes = bytes}, {}, memory);
        EXPECT_TRUE(same_bits(got.values, want.values));
        EXPECT_TRUE(same_bits(got.y, want.y));
      }
    }
  }
}

TEST(jacobian, policies_chunks_and_memory_change_no_bit) {
  check_bits<double>();
  check_bits<float>();
}

TEST(jacobian, every_form_of_a_map_is_asked) {
  const index_t n = 7, m = 12;
  const auto x = ramp<double>(n);
  std::atomic<index_t> count{0};
  const auto how = cge({.smoothing = 1e-6}, central{});
  const auto want = zo::jacobian(zo::seq, writing_form<double>{&count}, x, m, how);
  const auto same = [&](auto&& f) {
    count = 0;
    const auto got = zo::jacobian(zo::par, f, x, m, how);
    EXPECT_TRUE(same_bits(got.values, want.values));
    EXPECT_EQ(count, 1 + 2 * n);
  };
  same(returning_form<double>{&count, 12});
  same(sampled_map_form<double>{&count});
  same(batch_map_form<double>{&count});
  same(row_form<double>{&count});
  same(rowwise_map_form<double>{&count});
  const auto differences = zo::jacobian(zo::seq, difference_form<double>{&count}, x, m, how);
  threaded_difference_form<double> told{{&count}};
  const auto by_threads = zo::jacobian(zo::par.with_threads(3), told, x, m, how);
  EXPECT_TRUE(same_bits(by_threads.values, differences.values));
  EXPECT_EQ(told.threads, (std::vector<int>{3, 3}));
  for (std::size_t k = 0; k < want.values.size(); ++k) {
    const double exact = smooth_slope(std::span<const double>(x), k / n, k % n);
    EXPECT_NEAR(want.values[k], exact, 1e-8);
    EXPECT_NEAR(differences.values[k], exact, 1e-11);
  }
}

TEST(jacobian, a_wrong_pattern_is_detected) {
  const auto pattern = zo::banded(60, 60, 1, 1);
  auto wrong = pattern;
  wrong.starts.back() -= 1;  // the last row depends on the last column, which is left out
  wrong.indices.pop_back();
  std::atomic<index_t> count{0};
  const pattern_map<> f{&pattern, &count};
  const auto x = ramp<double>(60);
  const coloring right_colors(pattern), wrong_colors(wrong);
  const auto right = zo::jacobian(zo::seq, f, x, right_colors, cge({.smoothing = 1e-7}));
  EXPECT_LT(zo::jacobian_error(zo::seq, f, x, right_colors, right, {.smoothing = 1e-7}).error,
            1e-5);
  const auto j = zo::jacobian(zo::seq, f, x, wrong_colors, cge({.smoothing = 1e-7}));
  EXPECT_GT(zo::jacobian_error(zo::seq, f, x, wrong_colors, j, {.smoothing = 1e-7}).error, 1e-2);
}

TEST(jacobian, known_answers_are_not_asked_again) {
  const auto pattern = zo::banded(20, 20, 1, 1);
  const coloring colors(pattern);
  std::atomic<index_t> count{0};
  const pattern_map<> f{&pattern, &count};
  const auto x = ramp<double>(20);
  const auto asked = zo::jacobian(zo::seq, f, x, colors, cge());
  const auto known = zo::jacobian(zo::seq, f, x, colors, cge(), {}, asked.y);
  EXPECT_EQ(known.queries, 3);
  EXPECT_TRUE(same_bits(known.values, asked.values));
}

enum class ill { throws, nan, silent, shrinks };
struct failing {
  ill how;
  std::vector<double> x;
  index_t moved;  // fails where this coordinate is moved; -1: everywhere
  std::vector<double> operator()(std::span<const double> at) const {
    std::vector<double> y(at.size());
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = at[i] * at[i];
    if (moved >= 0 && at[static_cast<std::size_t>(moved)] == x[static_cast<std::size_t>(moved)]) {
      return y;
    }
    if (how == ill::throws) throw std::runtime_error("the solver diverged");
    if (how == ill::nan) y[0] = infinity;
    if (how == ill::silent) return {};
    if (how == ill::shrinks) y.pop_back();
    return y;
  }
};

TEST(jacobian, failures_by_the_policy) {
  const auto x = ramp<double>(6);
  const coloring diagonal(zo::banded(6, 6, 0, 1));  // two colors: even columns and odd ones
  for (const ill how : {ill::throws, ill::nan, ill::silent, ill::shrinks}) {
    const auto dropped = zo::jacobian(zo::par, failing{how, x, 3}, x, diagonal,
                                      cge({.smoothing = 1e-6, .failures = on_failure::drop}));
    EXPECT_TRUE(dropped.ok);
    EXPECT_EQ(dropped.failed, 1);
    ASSERT_NE(dropped.failure, nullptr);
    EXPECT_GT(dropped.failure->point[1], x[1]);  // the whole color was moved
    const auto& pattern = diagonal.pattern();
    for (index_t i = 0; i < 6; ++i) {
      for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
           k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
        const index_t j = pattern.indices[static_cast<std::size_t>(k)];
        const double want = j % 2 == 1 || i != j ? 0 : 2 * x[static_cast<std::size_t>(i)];
        EXPECT_NEAR(dropped.values[static_cast<std::size_t>(k)], want, 1e-5);
      }
    }
    const auto dense = zo::jacobian(zo::seq, failing{how, x, 3}, x, 6,
                                    cge({.failures = on_failure::drop}, central{}));
    EXPECT_EQ(dense.failed, 2);
    EXPECT_EQ(dense.values[3 * 6 + 3], 0);
    EXPECT_NE(dense.values[2 * 6 + 2], 0);
    if (how == ill::nan) {
      const auto stopped = zo::jacobian(zo::seq, failing{how, x, 3}, x, diagonal, cge());
      EXPECT_FALSE(stopped.ok);
      EXPECT_EQ(stopped.why, flaw::query_failed);
      EXPECT_EQ(stopped.values, std::vector<double>(11));
      EXPECT_EQ(stopped.failure->why, "a number of the answer is not finite, or was not written");
    } else {
      EXPECT_THROW(zo::jacobian(zo::seq, failing{how, x, 3}, x, diagonal, cge()),
                   std::runtime_error);
    }
    const auto none = zo::jacobian(zo::seq, failing{how, x, -1}, x, diagonal,
                                   cge({.failures = on_failure::drop}));
    EXPECT_FALSE(none.ok);
    EXPECT_EQ(none.queries, 1);
  }
}

TEST(jacobian, jvp_costs_one_query) {
  const auto x = ramp<double>(9);
  const auto u = ramp<double>(9, 0.2, -0.11);
  std::atomic<index_t> count{0};
  const auto got = zo::jvp(zo::seq, writing_form<double>{&count}, x, u, 4, {.smoothing = 1e-7});
  EXPECT_EQ(got.queries, 2);
  const auto known =
      zo::jvp(zo::seq, writing_form<double>{&count}, x, u, 4, {.smoothing = 1e-7}, {}, got.y);
  EXPECT_EQ(known.queries, 1);
  EXPECT_EQ(count, 3);
  EXPECT_TRUE(same_bits(known.product, got.product));
  for (std::size_t k = 0; k < 4; ++k) {
    double want = 0;
    for (std::size_t i = 0; i < 9; ++i) {
      want += smooth_slope(std::span<const double>(x), k, i) * u[i];
    }
    EXPECT_NEAR(got.product[k], want, 1e-6);
  }
}

TEST(jacobian, complains_in_sentences) {
  const auto x = ramp<double>(4);
  std::atomic<index_t> count{0};
  const writing_form<double> f{&count};
  const coloring colors(zo::banded(4, 5, 1, 1));
  EXPECT_EQ(complaint([&] { zo::jacobian(zo::seq, f, x, colors, cge()); }),
            "zo::jacobian: the pattern must have a column for each number of x, got 5 and 4");
  EXPECT_EQ(complaint([&] { zo::jacobian(zo::seq, f, x, 0, cge()); }),
            "zo::jacobian: F must answer at least 1 number, got 0");
  EXPECT_EQ(complaint([&] {
              zo::jacobian(zo::seq, f, x, coloring(zo::banded(4, 4, 1, 1)),
                           cge({.coordinates = zo::coordinate_list{{1}}}));
            }),
            "zo::jacobian: with a coloring all columns are asked; leave coordinates out");
  EXPECT_EQ(complaint([&] { zo::jacobian(zo::seq, f, x, 3, cge(), {}, x); }),
            "zo::jacobian: known_y must be empty or have 3 numbers, got 4");
  EXPECT_EQ(complaint([&] { zo::jvp(zo::seq, f, x, std::vector<double>(3), 2); }),
            "zo::jvp: the direction must have as many numbers as x, got 3 and 4");
  EXPECT_EQ(complaint([&] { zo::jvp(zo::seq, f, x, x, 2, {.smoothing = 0}); }),
            "zo::jvp: smoothing must be a positive number of the scalar type, got 0");
}

}  // namespace
