// Which query a candidate is, in the one order that every estimate asks in.
#pragma once

#include "zo/config.hpp"

namespace zo::detail {

/// A candidate: x of `row`, moved by the step of one side along one item, which is a direction or a
/// coordinate.
struct candidate {
  index_t item;
  int side;  // 0 or 1
  index_t row;
};

/// Candidate j of `rows` rows and 1 or 2 sides: the items outermost, then the sides, then the rows.
ZO_HD constexpr candidate candidate_of(index_t j, index_t rows, int sides) {
  // On a GPU a division of 64 bits costs as much as a normal: none is made for a single row.
  const index_t pair = rows == 1 ? j : j / rows;
  const index_t row = rows == 1 ? 0 : j % rows;
  if (sides == 1) return {pair, 0, row};
  return {pair >> 1, static_cast<int>(pair & 1), row};
}

}  // namespace zo::detail
