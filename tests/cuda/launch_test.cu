// Geometry of launches, and the sentences of errors.
#include "zo/cuda/launch.hpp"

#include "device.hpp"

namespace {

using namespace testing_zo;
using zo::cuda::detail::launch_shape;
using zo::cuda::detail::shape_for;

TEST(cuda_launch, a_thread_for_each_item_until_the_grid_is_full) {
  for (const zo::index_t items :
       {zo::index_t{255}, zo::index_t{256}, zo::index_t{257}, zo::index_t{100'000}}) {
    const launch_shape shape = shape_for(items);
    EXPECT_EQ(shape.threads, 256U);
    EXPECT_GE(zo::index_t{shape.blocks} * 256, items);
    EXPECT_LT(zo::index_t{shape.blocks} * 256 - items, 256);
  }
  EXPECT_EQ(shape_for(zo::index_t{1} << 40).blocks, 1U << 16);
  EXPECT_EQ(shape_for(0).blocks, 1U);
}

TEST(cuda_launch, few_items_get_small_blocks_of_whole_warps) {
  EXPECT_EQ(shape_for(1).threads, 32U);
  EXPECT_EQ(shape_for(33).threads, 64U);
  EXPECT_EQ(shape_for(5, zo::index_t{1} << 20).rows, 65535U);
}

struct counting_piece {
  int* seen;
  __device__ void operator()(zo::index_t item) const { seen[item] += 1; }
  __device__ void operator()(zo::index_t row, zo::index_t item) const { seen[row * 3 + item] += 1; }
};

class gpu_launch : public gpu {};

// Each item once, also where the grid is smaller than the work.
TEST_F(gpu_launch, every_item_once) {
  for (const zo::index_t items :
       {zo::index_t{1}, zo::index_t{1000}, zo::index_t{65536} * 256 + 5}) {
    zo::cuda::array<int> seen(on(), std::vector<int>(static_cast<std::size_t>(items)));
    zo::cuda::detail::for_items(stream, items, counting_piece{seen.data()}, "counting");
    EXPECT_EQ(seen.to_host(), std::vector<int>(static_cast<std::size_t>(items), 1));
  }
  constexpr zo::index_t rows = 70'000;  // more than a grid is high
  zo::cuda::array<int> seen(on(), std::vector<int>(rows * 3));
  zo::cuda::detail::for_rows(stream, rows, 3, counting_piece{seen.data()}, "counting");
  EXPECT_EQ(seen.to_host(), std::vector<int>(rows * 3, 1));
}

TEST(cuda_launch, an_error_names_call_place_and_cause) {
  EXPECT_NO_THROW(check(cudaSuccess, "nothing"));
  try {
    check(cudaErrorMemoryAllocation, "cudaMallocAsync of 12 bytes");
    FAIL() << "an error went by";
  } catch (const zo::cuda::error& problem) {
    const std::string text = problem.what();
    EXPECT_NE(text.find("cudaMallocAsync of 12 bytes"), std::string::npos) << text;
    EXPECT_NE(text.find("launch_test.cu:"), std::string::npos) << text;
    EXPECT_NE(text.find("out of memory"), std::string::npos) << text;
    EXPECT_EQ(problem.code(), cudaErrorMemoryAllocation);
  }
}

}  // namespace
