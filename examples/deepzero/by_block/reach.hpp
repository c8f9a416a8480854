// Which outputs of a network a number of its input can reach, by position alone, and numbers that
// can be moved at once because they reach different ones.
#pragma once

#include <vector>
#include <zo/nn/difference_pass.hpp>
#include <zo/nn/network.hpp>

namespace deepzero {

/// Rows or columns [first, end) of a value; none where first >= end.
struct stretch {
  zo::index_t first = 0, end = 1;
};

/// By row of the input (by column of it): which rows (columns) of the output it reaches.
struct reach {
  std::vector<stretch> of_row, of_column;

  zo::nn::window window(zo::index_t row, zo::index_t column) const;
};
reach reach_of(const zo::nn::network& net);

/// The least distance at which all numbers a row (column) apart reach different outputs: every
/// period-th can be moved at once. At least 1; the size where nothing can be told apart.
zo::index_t period_of(const std::vector<stretch>& reached);

}  // namespace deepzero
