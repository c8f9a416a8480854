#include "zo/coloring.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "zo/error.hpp"

namespace zo {

namespace {

constexpr const char* who = "zo::coloring";

void check(const sparsity& pattern) {
  detail::require(pattern.rows >= 1 && pattern.columns >= 1, who,
                  ": a pattern has at least 1 row and 1 column, got ", pattern.rows, " and ",
                  pattern.columns);
  detail::require(pattern.columns < (index_t{1} << 31), who, ": columns must be below 2^31, got ",
                  pattern.columns);
  detail::require(static_cast<index_t>(pattern.starts.size()) == pattern.rows + 1, who,
                  ": starts must have rows + 1 = ", pattern.rows + 1, " numbers, got ",
                  pattern.starts.size());
  detail::require(pattern.starts.front() == 0 &&
                      pattern.starts.back() == static_cast<index_t>(pattern.indices.size()),
                  who, ": starts must begin with 0 and end with the number of indices, ",
                  pattern.indices.size());
  std::vector<index_t> last(static_cast<std::size_t>(pattern.columns), -1);
  for (index_t i = 0; i < pattern.rows; ++i) {
    const index_t first = pattern.starts[static_cast<std::size_t>(i)];
    const index_t end = pattern.starts[static_cast<std::size_t>(i) + 1];
    detail::require(first <= end && end <= pattern.starts.back(), who, ": starts must ascend; row ",
                    i, " begins at ", first, " and ends at ", end);
    for (index_t k = first; k < end; ++k) {
      const index_t j = pattern.indices[static_cast<std::size_t>(k)];
      detail::require(j >= 0 && j < pattern.columns, who, ": column ", j, " of row ", i,
                      " is not in 0 … ", pattern.columns - 1);
      detail::require(last[static_cast<std::size_t>(j)] != i, who, ": row ", i, " has column ", j,
                      " twice; list each once");
      last[static_cast<std::size_t>(j)] = i;
    }
  }
}

// The pattern by columns.
struct by_column {
  std::vector<index_t> starts, rows;

  explicit by_column(const sparsity& pattern)
      : starts(static_cast<std::size_t>(pattern.columns) + 1), rows(pattern.indices.size()) {
    for (const index_t j : pattern.indices) ++starts[static_cast<std::size_t>(j) + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    std::vector<index_t> next(starts.begin(), starts.end() - 1);
    for (index_t i = 0; i < pattern.rows; ++i) {
      for (index_t k = pattern.starts[static_cast<std::size_t>(i)];
           k < pattern.starts[static_cast<std::size_t>(i) + 1]; ++k) {
        const auto j = static_cast<std::size_t>(pattern.indices[static_cast<std::size_t>(k)]);
        rows[static_cast<std::size_t>(next[j]++)] = i;
      }
    }
  }
};

// Each column in order gets the least color that none has with which it shares a row.
index_t color_greedily(const sparsity& pattern, const by_column& transposed,
                       std::vector<std::int32_t>& color) {
  color.assign(static_cast<std::size_t>(pattern.columns), -1);
  std::vector<index_t> taken;  // by color: the column that saw it last
  for (index_t column = 0; column < pattern.columns; ++column) {
    const auto j = static_cast<std::size_t>(column);
    for (index_t r = transposed.starts[j]; r < transposed.starts[j + 1]; ++r) {
      const auto i = static_cast<std::size_t>(transposed.rows[static_cast<std::size_t>(r)]);
      for (index_t k = pattern.starts[i]; k < pattern.starts[i + 1]; ++k) {
        const auto other = static_cast<std::size_t>(pattern.indices[static_cast<std::size_t>(k)]);
        if (color[other] >= 0) taken[static_cast<std::size_t>(color[other])] = column;
      }
    }
    std::size_t c = 0;
    while (c < taken.size() && taken[c] == column) ++c;
    if (c == taken.size()) taken.push_back(-1);
    color[j] = static_cast<std::int32_t>(c);
  }
  return static_cast<index_t>(taken.size());
}

// The next column is one that sees the most colors (Brélaz 1979), the first of those that came to
// see so many; where more than 64 colors are needed, none is found and the answer is 0.
index_t color_by_saturation(const sparsity& pattern, const by_column& transposed,
                            std::vector<std::int32_t>& color) {
  constexpr std::size_t most = 64;
  color.assign(static_cast<std::size_t>(pattern.columns), -1);
  std::vector<std::uint64_t> seen(color.size(), 0);
  std::array<std::vector<index_t>, most + 1> waiting;  // by how many colors they see, or saw
  std::array<std::size_t, most + 1> next{};
  waiting[0].resize(color.size());
  std::iota(waiting[0].begin(), waiting[0].end(), index_t{0});
  index_t colors = 0;
  std::size_t level = 0;
  for (;;) {
    if (next[level] == waiting[level].size()) {
      if (level == 0) return colors;
      --level;
      continue;
    }
    const index_t column = waiting[level][next[level]++];
    const auto j = static_cast<std::size_t>(column);
    if (color[j] >= 0 || static_cast<std::size_t>(std::popcount(seen[j])) != level) continue;
    const int c = std::countr_one(seen[j]);
    if (c == static_cast<int>(most)) return 0;
    color[j] = c;
    colors = std::max(colors, static_cast<index_t>(c) + 1);
    const std::uint64_t bit = std::uint64_t{1} << c;
    for (index_t r = transposed.starts[j]; r < transposed.starts[j + 1]; ++r) {
      const auto i = static_cast<std::size_t>(transposed.rows[static_cast<std::size_t>(r)]);
      for (index_t k = pattern.starts[i]; k < pattern.starts[i + 1]; ++k) {
        const index_t other = pattern.indices[static_cast<std::size_t>(k)];
        std::uint64_t& sees = seen[static_cast<std::size_t>(other)];
        if (color[static_cast<std::size_t>(other)] >= 0 || (sees & bit) != 0) continue;
        sees |= bit;
        const auto now = static_cast<std::size_t>(std::popcount(sees));
        waiting[now].push_back(other);
        level = std::max(level, now);
      }
    }
  }
}

std::vector<index_t> by_color(const std::vector<std::int32_t>& color,
                              const std::vector<index_t>& starts) {
  std::vector<index_t> columns(color.size());
  std::vector<index_t> next(starts.begin(), starts.end() - 1);
  for (std::size_t j = 0; j < color.size(); ++j) {
    columns[static_cast<std::size_t>(next[static_cast<std::size_t>(color[j])]++)] =
        static_cast<index_t>(j);
  }
  return columns;
}

}  // namespace

sparsity banded(index_t rows, index_t columns, index_t below, index_t above) {
  detail::require(rows >= 1 && columns >= 1,
                  "zo::banded: rows and columns must be at least 1, got ", rows, " and ", columns);
  detail::require(below >= 0 && above >= 0, "zo::banded: below and above must be at least 0, got ",
                  below, " and ", above);
  sparsity pattern{rows, columns, {0}, {}};
  for (index_t i = 0; i < rows; ++i) {
    const index_t first = i > below ? i - below : 0;
    const index_t end = above < columns - i - 1 ? i + above + 1 : columns;
    for (index_t j = first; j < end; ++j) pattern.indices.push_back(j);
    pattern.starts.push_back(static_cast<index_t>(pattern.indices.size()));
  }
  return pattern;
}

coloring::coloring(sparsity pattern) : pattern_(std::move(pattern)) {
  check(pattern_);
  const by_column transposed(pattern_);
  index_t colors = color_greedily(pattern_, transposed, color_);
  index_t longest = 1;  // row, and so many colors are needed
  for (std::size_t i = 0; i + 1 < pattern_.starts.size(); ++i) {
    longest = std::max(longest, pattern_.starts[i + 1] - pattern_.starts[i]);
  }
  if (colors > longest) {
    std::vector<std::int32_t> other;
    const index_t fewer = color_by_saturation(pattern_, transposed, other);
    if (fewer > 0 && fewer < colors) {
      colors = fewer;
      color_ = std::move(other);
    }
  }
  starts_.assign(static_cast<std::size_t>(colors) + 1, 0);
  for (const std::int32_t c : color_) ++starts_[static_cast<std::size_t>(c) + 1];
  std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
  members_ = by_color(color_, starts_);
}

}  // namespace zo
