// The one order in which estimates ask.
#include "zo/candidate.hpp"

#include "support.hpp"

namespace {

using zo::index_t;

TEST(candidate, items_are_outermost_then_sides_then_rows) {
  for (const index_t rows : {1, 2, 3, 7}) {
    for (const int sides : {1, 2}) {
      index_t j = 0;
      for (index_t item = 0; item < 5; ++item) {
        for (int side = 0; side < sides; ++side) {
          for (index_t row = 0; row < rows; ++row, ++j) {
            const auto [i, s, b] = zo::detail::candidate_of(j, rows, sides);
            EXPECT_EQ(i, item) << j << " of " << rows << " rows, " << sides << " sides";
            EXPECT_EQ(s, side) << j << " of " << rows << " rows, " << sides << " sides";
            EXPECT_EQ(b, row) << j << " of " << rows << " rows, " << sides << " sides";
          }
        }
      }
    }
  }
}

TEST(candidate, far_ones_are_not_cut_off) {
  constexpr index_t far = index_t{1} << 40;
  static_assert(zo::detail::candidate_of(6 * far + 5, 3, 2).item == far);
  static_assert(zo::detail::candidate_of(6 * far + 5, 3, 2).side == 1);
  static_assert(zo::detail::candidate_of(6 * far + 5, 3, 2).row == 2);
  static_assert(zo::detail::candidate_of(2 * far + 1, 1, 2).item == far);
}

}  // namespace
