// Sparsity patterns found by asking.
#include "zo/find_sparsity.hpp"

#include <random>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::coloring;
using zo::sparsity;

// y_i = sum of sin(x_j + i) over the columns of a pattern.
struct pattern_map {
  const sparsity* pattern;
  std::atomic<index_t>* count;
  void operator()(std::span<const double> x, std::span<double> y) const {
    ++*count;
    for (index_t i = 0; i < pattern->rows; ++i) {
      double sum = 1;
      for (index_t k = pattern->starts[static_cast<std::size_t>(i)];
           k < pattern->starts[static_cast<std::size_t>(i) + 1]; ++k) {
        const auto j = static_cast<std::size_t>(pattern->indices[static_cast<std::size_t>(k)]);
        sum += std::sin(x[j] + static_cast<double>(i));
      }
      y[static_cast<std::size_t>(i)] = sum;
    }
  }
};

void expect_same(const sparsity& a, const sparsity& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.starts, b.starts);
  EXPECT_EQ(a.indices, b.indices);
}

sparsity random_pattern(index_t rows, index_t columns, unsigned one_in) {
  std::mt19937 random(11);
  sparsity pattern{rows, columns, {0}, {}};
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < columns; ++j) {
      if (random() % one_in == 0) pattern.indices.push_back(j);
    }
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  return pattern;
}

TEST(find_sparsity, finds_what_depends_on_what) {
  for (const sparsity& pattern :
       {zo::banded(1000, 1000, 1, 1), zo::banded(100, 77, 3, 0), random_pattern(60, 90, 20),
        random_pattern(5, 9, 2), zo::banded(4, 1, 3, 0)}) {
    std::atomic<index_t> count{0};
    const pattern_map f{&pattern, &count};
    const auto x = ramp<double>(pattern.columns);
    const auto found = zo::find_sparsity(zo::seq, f, x, pattern.rows);
    ASSERT_TRUE(found.ok);
    EXPECT_EQ(found.queries, count);
    expect_same(found.pattern, pattern);
    const auto shared =
        zo::find_sparsity(zo::par.with_threads(4), f, x, pattern.rows, {}, {.chunk_bytes = 3000});
    expect_same(shared.pattern, pattern);
    EXPECT_EQ(shared.queries, found.queries);
  }
}

TEST(find_sparsity, a_thin_pattern_costs_the_logarithm) {
  const sparsity pattern = zo::banded(4096, 4096, 1, 1);
  std::atomic<index_t> count{0};
  const auto x = ramp<double>(4096);
  const auto found = zo::find_sparsity(zo::seq, pattern_map{&pattern, &count}, x, 4096);
  expect_same(found.pattern, pattern);
  EXPECT_LE(found.queries, 2 + 12 * 6);
}

TEST(find_sparsity, gives_up_within_its_budget) {
  const sparsity pattern = zo::banded(64, 64, 64, 64);
  std::atomic<index_t> count{0};
  const auto x = ramp<double>(64);
  for (const index_t budget : {0, 1, 5, 100}) {
    count = 0;
    const auto found =
        zo::find_sparsity(zo::seq, pattern_map{&pattern, &count}, x, 64, {.max_queries = budget});
    EXPECT_FALSE(found.ok);
    EXPECT_LE(count, budget);
    EXPECT_TRUE(found.pattern.indices.empty());
  }
}

TEST(find_sparsity, a_failed_query_ends_it) {
  const auto x = ramp<double>(8);
  const auto f = [&](std::span<const double> at, std::span<double> y) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = at[i] == x[i] ? at[i] : not_a_number;
  };
  const auto found = zo::find_sparsity(zo::seq, f, x, 8);
  EXPECT_FALSE(found.ok);
  EXPECT_EQ(found.why, zo::flaw::query_failed);
  ASSERT_NE(found.failure, nullptr);
}

TEST(find_sparsity, small_changes_may_be_rounding) {
  const auto x = ramp<double>(4);
  const auto f = [](std::span<const double> at, std::span<double> y) {
    y[0] = at[0] + 1e-9 * at[3];
    y[1] = at[1];
  };
  const auto all = zo::find_sparsity(zo::seq, f, x, 2);
  EXPECT_EQ(all.pattern.indices, (std::vector<index_t>{0, 3, 1}));
  const auto large = zo::find_sparsity(zo::seq, f, x, 2, {.tolerance = 1e-8});
  EXPECT_EQ(large.pattern.indices, (std::vector<index_t>{0, 1}));
}

TEST(find_sparsity, complains_in_sentences) {
  const auto x = ramp<double>(4);
  const auto f = [](std::span<const double>, std::span<double>) {};
  EXPECT_EQ(complaint([&] { zo::find_sparsity(zo::seq, f, x, 2, {.smoothing = -1}); }),
            "zo::find_sparsity: smoothing must be a positive number of the scalar type, got -1");
  EXPECT_EQ(complaint([&] { zo::find_sparsity(zo::seq, f, x, 2, {.tolerance = -1}); }),
            "zo::find_sparsity: tolerance must be at least 0, got -1");
}

}  // namespace
