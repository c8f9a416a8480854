// Geometry of launches and the sentences of errors: no GPU is needed.
#include "cuda/launch.hpp"

#include <gtest/gtest.h>

namespace {

using zo::index;
using zo::cuda::detail::check;
using zo::cuda::detail::launch_shape;
using zo::cuda::detail::shape_for;

TEST(cuda_launch, a_thread_for_each_item_until_the_grid_is_full) {
  for (const index items : {index{1}, index{255}, index{256}, index{257}, index{100'000}}) {
    const launch_shape shape = shape_for(items, 1 << 16);
    EXPECT_EQ(shape.threads, 256U);
    EXPECT_GE(index{shape.blocks} * 256, items);
    EXPECT_LT(index{shape.blocks} * 256 - items, 256);
  }
  EXPECT_EQ(shape_for(index{1} << 40, 1 << 16).blocks, 1U << 16);
  EXPECT_EQ(shape_for(0, 1 << 16).blocks, 1U);
}

TEST(cuda_launch, an_error_names_call_place_and_cause) {
  EXPECT_NO_THROW(check(cudaSuccess, "nothing"));
  try {
    check(cudaErrorMemoryAllocation, "cudaMallocAsync of 12 bytes");
    FAIL() << "an error went by";
  } catch (const zo::cuda::error& problem) {
    const std::string text = problem.what();
    EXPECT_NE(text.find("cudaMallocAsync of 12 bytes"), std::string::npos) << text;
    EXPECT_NE(text.find("launch_test.cpp:"), std::string::npos) << text;
    EXPECT_NE(text.find("out of memory"), std::string::npos) << text;
  }
}

}  // namespace
