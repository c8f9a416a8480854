// The pieces of one lane, run here one after another, against the compiled kernels: the same bits.
#include "zo/direction_lane.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::gaussian;
using zo::index_t;
using zo::rademacher;
using zo::stream;
using zo::detail::lane_squares;
using zo::detail::lane_sum;
using zo::detail::lanes;
using zo::detail::tile;

template <class T, class L>
std::vector<T> by_lanes(const stream& from, const std::vector<T>& weights, index_t first,
                        std::vector<T> x, bool backwards) {
  const auto count = static_cast<index_t>(x.size());
  const lane_sum<T, L> piece{
      from, static_cast<index_t>(weights.size()), weights.data(), first, count, x.data(), x.data()};
  const index_t items = piece.items();
  for (index_t i = 0; i < items; ++i) piece(backwards ? items - 1 - i : i);
  return x;
}

template <class T, class L>
void expect_same_sums() {
  const stream from{0x123456789abcdefULL, 7, 5};
  for (const index_t count : {1, 15, 16, 17, 63, 64, 65, 511, 2047, 2048, 2049, 5000}) {
    for (const index_t first : {index_t{0}, 3 * tile}) {
      for (const index_t directions : {1, 2, 3, 7, 16}) {
        const std::vector<T> weights = ramp<T>(directions, 0.3, -0.11);
        const std::vector<T> x = ramp<T>(count);
        std::vector<T> expected = x;
        zo::detail::accumulate<L>(from, directions, weights.data(), first, count, expected.data());
        EXPECT_TRUE(same_bits(by_lanes<T, L>(from, weights, first, x, false), expected));
        EXPECT_TRUE(same_bits(by_lanes<T, L>(from, weights, first, x, true), expected))
            << "count " << count << " first " << first << " directions " << directions;
      }
    }
  }
}

TEST(direction_lane, normals_are_those_of_the_kernels) {
  expect_same_sums<float, gaussian>();
  expect_same_sums<double, gaussian>();
}

TEST(direction_lane, signs_are_those_of_the_kernels) {
  expect_same_sums<float, rademacher>();
  expect_same_sums<double, rademacher>();
}

TEST(direction_lane, squares_are_those_of_the_kernels) {
  const stream from{99, 1, 2};
  for (const index_t count :
       {index_t{1}, index_t{17}, index_t{64}, tile - 1, tile, tile + 1, 3 * tile + 70}) {
    double total = 0;
    for (index_t first = 0; first < count; first += tile) {
      double sum[lanes];
      for (index_t lane = 0; lane < lanes; ++lane) {
        sum[lane] = lane_squares<gaussian>{from, count}(first / tile * lanes + lane);
      }
      total += zo::detail::lane_tree(sum);
    }
    EXPECT_EQ(total, zo::detail::sum_of_squares<gaussian>(from, 0, count)) << count;
  }
}

// Far out, where counters pass 2^32 bytes: no memory is needed to ask one item.
TEST(direction_lane, a_far_coordinate_is_the_documented_value) {
  const stream from{3, 4, 5};
  const index_t first = (index_t{1} << 33) + 5 * tile;
  const double weight = 1;
  std::vector<double> x(1, 0.0);
  lane_sum<double, gaussian>{from, 1, &weight, first, 1, x.data(), x.data()}(0);
  EXPECT_EQ(x[0], static_cast<double>(zo::detail::raw_value<gaussian>(from, first)));
}

}  // namespace
