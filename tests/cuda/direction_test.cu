// Directions made on the device against the CPU's: the same bits, for any size and any number.
#include "device.hpp"

#include "zo/cuda/operations.hpp"

namespace {

using namespace testing_zo;
using zo::cuda::detail::row_directions;

constexpr std::uint64_t seed = 0x123456789abcdefULL;

class gpu_direction : public gpu {
 protected:
  // Rows of weighted directions, on both machines.
  template <class T, class L>
  void expect_same_sums() {
    for (const zo::index_t dimension : {1, 17, 2047, 2049, 100'003}) {
      for (const zo::index_t count : {1, 3, 40}) {
        constexpr zo::index_t rows = 2, per_row = 50;
        const zo::stream from{seed, 7, 5};
        const std::vector<T> weights = ramp<T>(rows * count, 0.3, -0.11);
        std::vector<T> expected = ramp<T>(rows * dimension);
        zo::cuda::array<T> there(on(), expected);
        const zo::cuda::array<T> weights_there(on(), weights);
        for (zo::index_t b = 0; b < rows; ++b) {
          zo::stream row = from;
          row.number += static_cast<std::uint32_t>(b * per_row);
          zo::detail::accumulate<L>(row, count, weights.data() + b * count, 0, dimension,
                                    expected.data() + b * dimension);
        }
        const row_directions all{from, per_row, rows, nullptr};
        zo::cuda::detail::enqueue<L>(
            on(), zo::cuda::detail::weighted_sums<T>{all, count, weights_there.data(), dimension,
                                                     false, there.data()});
        EXPECT_TRUE(same_bits(there.to_host(), expected)) << dimension << " " << count;
      }
    }
  }
};

TEST_F(gpu_direction, normals) {
  expect_same_sums<float, zo::gaussian>();
  expect_same_sums<double, zo::gaussian>();
}

TEST_F(gpu_direction, signs) {
  expect_same_sums<float, zo::rademacher>();
  expect_same_sums<double, zo::rademacher>();
}

// Building blocks: the bits of a candidate, x untouched, sums over parameters of any storage.
template <class T, class D>
void expect_same_blocks(const zo::cuda::policy& on, D kind) {
  using number = zo::cuda::working_type<T>;
  const zo::stream from{seed, 3, 9};
  for (const zo::index_t dimension : {1, 2047, 40'001}) {
    std::vector<T> x;
    for (const number value : ramp<number>(dimension)) x.push_back(T(value));
    const zo::cuda::array<T> there(on, x);
    zo::cuda::array<T> moved(on, dimension), summed(on, x);
    const std::vector<number> weights = ramp<number>(5, 0.3, -0.11);
    const zo::cuda::array<number> weights_there(on, weights);
    zo::cuda::perturb(on, kind, from, there, number(0.01), moved);
    zo::cuda::accumulate(on, kind, from, weights_there, summed);
    std::vector<number> wide, wide_sum;
    for (const T value : x) wide.push_back(static_cast<number>(value));
    wide_sum = wide;
    zo::detail::perturb<typename D::law>(from, 0, dimension, wide.data(), number(0.01),
                                         wide.data());
    zo::detail::accumulate<typename D::law>(from, 5, weights.data(), 0, dimension, wide_sum.data());
    std::vector<T> expected, expected_sum;
    for (const number value : wide) expected.push_back(static_cast<T>(value));
    for (const number value : wide_sum) expected_sum.push_back(static_cast<T>(value));
    EXPECT_TRUE(same_bits(moved.to_host(), expected)) << dimension;
    EXPECT_TRUE(same_bits(summed.to_host(), expected_sum)) << dimension;
    EXPECT_TRUE(same_bits(there.to_host(), x)) << dimension;
  }
}

TEST_F(gpu_direction, building_blocks) {
  expect_same_blocks<float>(on(), zo::gaussian{});
  expect_same_blocks<double>(on(), zo::rademacher{});
  expect_same_blocks<zo::bfloat16>(on(), zo::gaussian{});
  expect_same_blocks<zo::bfloat16>(on(), zo::rademacher{});
}

TEST_F(gpu_direction, norms) {
  for (const zo::index_t dimension :
       {1, 64, 2049, 600'003}) {  // up to more tiles than a block holds
    constexpr zo::index_t rows = 3, count = 4, per_row = 9;
    std::vector<double> expected;
    for (zo::index_t k = 0; k < count; ++k) {
      for (zo::index_t b = 0; b < rows; ++b) {
        expected.push_back(zo::detail::raw_factor<zo::sphere>(
            {99, 1, static_cast<std::uint32_t>(2 + b * per_row + k)}, dimension));
      }
    }
    const row_directions all{{99, 1, 2}, per_row, rows, nullptr};
    for (const zo::index_t at_once : {1, 5, 12}) {  // several launches, or one
      zo::cuda::array<double> partial(on(), at_once * zo::cuda::detail::tiles(dimension));
      zo::cuda::array<double> factors(on(), rows * count);
      zo::cuda::detail::inverse_norms<zo::gaussian>(on(), all, count, dimension, at_once,
                                                    partial.data(), factors.data());
      EXPECT_TRUE(same_bits(factors.to_host(), expected)) << dimension << " " << at_once;
    }
  }
}

}  // namespace
