// Which columns of a sparse Jacobian can be asked together: those that share no row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zo/config.hpp"

namespace zo {

/// Where a matrix may differ from zero, by rows (CSR): row i has the columns
/// indices[starts[i]] … indices[starts[i + 1] - 1], each once, in any order.
struct sparsity {
  index_t rows = 0;
  index_t columns = 0;
  std::vector<index_t> starts;   ///< rows + 1 numbers, the first is 0
  std::vector<index_t> indices;  ///< columns
};

/// The pattern of a matrix with `below` diagonals under the main one and `above` over it: 1 and 1
/// is tridiagonal.
sparsity banded(index_t rows, index_t columns, index_t below, index_t above);

/// Columns of a pattern in groups (colors) of which no two share a row, so that one query answers
/// all columns of a group. Made once for a pattern and kept.
///
/// Throws std::invalid_argument where the pattern is not one. The groups are those of the greedy
/// algorithm in the order of columns, or, where these are fewer, by saturation. At least as many as
/// the longest row has columns: a full row needs a color for each.
/// Time: for each row the square of its columns. Memory: two indices a nonzero.
/// Sources: Curtis, Powell and Reid, IMA Journal of Applied Mathematics 13, 1974; Brélaz, CACM
/// 1979.
class coloring {
 public:
  explicit coloring(sparsity pattern);

  const sparsity& pattern() const { return pattern_; }
  index_t colors() const { return static_cast<index_t>(starts_.size()) - 1; }
  index_t color_of(index_t column) const { return color_[static_cast<std::size_t>(column)]; }
  /// The columns of a color, ascending.
  std::span<const index_t> columns_of(index_t color) const {
    const auto c = static_cast<std::size_t>(color);
    return std::span(members_).subspan(static_cast<std::size_t>(starts_[c]),
                                       static_cast<std::size_t>(starts_[c + 1] - starts_[c]));
  }

 private:
  sparsity pattern_;
  std::vector<std::int32_t> color_;  // by column
  std::vector<index_t> starts_;      // of the colors
  std::vector<index_t> members_;     // columns, color by color
};

}  // namespace zo
