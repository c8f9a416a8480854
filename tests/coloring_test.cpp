// Groups of columns that share no row.
#include "zo/coloring.hpp"

#include <algorithm>
#include <random>
#include <set>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::coloring;
using zo::sparsity;

sparsity from_rows(index_t columns, const std::vector<std::vector<index_t>>& rows) {
  sparsity pattern{static_cast<index_t>(rows.size()), columns, {0}, {}};
  for (const auto& row : rows) {
    pattern.indices.insert(pattern.indices.end(), row.begin(), row.end());
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  return pattern;
}

// Every column has one color, no row has one twice, and groups are ascending.
index_t checked_colors(const sparsity& pattern) {
  const coloring colors(pattern);
  for (index_t i = 0; i < pattern.rows; ++i) {
    std::set<index_t> seen;
    for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
         k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
      EXPECT_TRUE(
          seen.insert(colors.color_of(pattern.indices[static_cast<std::size_t>(k)])).second);
    }
  }
  std::vector<index_t> all;
  for (index_t c = 0; c < colors.colors(); ++c) {
    EXPECT_TRUE(std::ranges::is_sorted(colors.columns_of(c)));
    for (const index_t j : colors.columns_of(c)) {
      EXPECT_EQ(colors.color_of(j), c);
      all.push_back(j);
    }
  }
  std::ranges::sort(all);
  EXPECT_EQ(static_cast<index_t>(all.size()), pattern.columns);
  EXPECT_TRUE(std::ranges::adjacent_find(all) == all.end());
  return colors.colors();
}

sparsity five_point(index_t side) {
  std::vector<std::vector<index_t>> rows;
  for (index_t r = 0; r < side; ++r) {
    for (index_t c = 0; c < side; ++c) {
      std::vector<index_t> row{r * side + c};
      if (r > 0) row.push_back((r - 1) * side + c);
      if (r + 1 < side) row.push_back((r + 1) * side + c);
      if (c > 0) row.push_back(r * side + c - 1);
      if (c + 1 < side) row.push_back(r * side + c + 1);
      rows.push_back(row);
    }
  }
  return from_rows(side * side, rows);
}

TEST(coloring, bands_need_as_many_colors_as_a_row_has_columns) {
  EXPECT_EQ(checked_colors(zo::banded(1000, 1000, 0, 0)), 1);
  EXPECT_EQ(checked_colors(zo::banded(1000, 1000, 1, 1)), 3);
  EXPECT_EQ(checked_colors(zo::banded(500, 503, 4, 2)), 7);
  EXPECT_EQ(checked_colors(zo::banded(3, 8, 20, 20)), 8);
}

TEST(coloring, a_five_point_stencil_needs_six) {
  EXPECT_EQ(checked_colors(five_point(12)), 6);
  EXPECT_EQ(checked_colors(five_point(57)), 6);
}

TEST(coloring, a_full_row_needs_a_color_for_each_column) {
  std::vector<std::vector<index_t>> rows;  // an arrow: last row and last column
  for (index_t i = 0; i < 99; ++i) rows.push_back({i, 99});
  EXPECT_EQ(checked_colors(from_rows(100, rows)), 2);
  rows.emplace_back();
  for (index_t j = 0; j < 100; ++j) rows.back().push_back(j);
  EXPECT_EQ(checked_colors(from_rows(100, rows)), 100);
}

TEST(coloring, random_patterns_are_colored) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<std::vector<index_t>> rows(60);
    std::size_t longest = 0;
    for (auto& row : rows) {
      for (index_t j = 0; j < 80; ++j) {
        if (random() % 16 == 0) row.push_back(j);
      }
      std::ranges::shuffle(row, random);
      longest = std::max(longest, row.size());
    }
    const index_t colors = checked_colors(from_rows(80, rows));
    EXPECT_GE(colors, static_cast<index_t>(longest));
    EXPECT_LE(colors, 2 * static_cast<index_t>(longest));
  }
}

TEST(coloring, more_colors_than_a_word_has_bits) {
  // Rows {i, i + 1 … i + 79}, cyclic: saturation gives up, greedy goes on.
  std::vector<std::vector<index_t>> rows(200);
  for (index_t i = 0; i < 200; ++i) {
    for (index_t k = 0; k < 80; ++k) rows[static_cast<std::size_t>(i)].push_back((i + k) % 200);
  }
  EXPECT_GE(checked_colors(from_rows(200, rows)), 80);
}

TEST(coloring, empty_rows_and_columns_are_no_harm) {
  EXPECT_EQ(checked_colors(from_rows(5, {{}, {}})), 1);
  EXPECT_EQ(checked_colors(from_rows(5, {{1}, {}, {3, 1}})), 2);
}

TEST(coloring, wrong_patterns_are_refused_in_a_sentence) {
  const auto said = [](sparsity pattern) {
    return complaint([&] { const coloring colors(pattern); });
  };
  EXPECT_EQ(said({2, 2, {0, 1}, {0}}),
            "zo::coloring: starts must have rows + 1 = 3 numbers, got 2");
  EXPECT_EQ(said({1, 2, {0, 2}, {0}}),
            "zo::coloring: starts must begin with 0 and end with the number of indices, 1");
  EXPECT_EQ(said({2, 2, {0, 2, 1}, {0}}),
            "zo::coloring: starts must ascend; row 0 begins at 0 and ends at 2");
  EXPECT_EQ(said({1, 2, {0, 1}, {2}}), "zo::coloring: column 2 of row 0 is not in 0 … 1");
  EXPECT_EQ(said({1, 2, {0, 2}, {1, 1}}), "zo::coloring: row 0 has column 1 twice; list each once");
  EXPECT_EQ(said({0, 2, {0}, {}}),
            "zo::coloring: a pattern has at least 1 row and 1 column, got 0 and 2");
  EXPECT_EQ(complaint([] { zo::banded(3, 3, -1, 0); }),
            "zo::banded: below and above must be at least 0, got -1 and 0");
}

}  // namespace
