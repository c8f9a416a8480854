#include "nn/loop_by_place.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <vector>

namespace {

using zo::index_t;

TEST(nn_loop_by_place, each_item_once) {
  for (const int threads : {1, 2, 3, 7, std::numeric_limits<int>::max()}) {
    for (const index_t items : {0, 1, 2, 5, 64, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(items));
      zo::nn::detail::loop_by_place(threads, items,
                                    [&](index_t item) { ++seen[static_cast<std::size_t>(item)]; });
      for (const auto& times : seen) EXPECT_EQ(times, 1) << threads << " threads, " << items;
    }
  }
}

}  // namespace
