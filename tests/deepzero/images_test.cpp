// Batches: pure functions of seed and step; scaling and movements.
#include "images.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "support.hpp"

namespace {

using namespace deepzero;

std::vector<zo::index_t> labels(const minibatch& b) {
  return {b.loss.targets().begin(), b.loss.targets().end()};
}

TEST(batches, use_every_image_once_an_epoch_in_a_new_order) {
  const app::image_set images = test::striped_images(70, 1);
  batches data(images, 16, false, 9);
  ASSERT_EQ(data.per_epoch(), 4);
  std::vector<std::vector<float>> epochs;
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    std::set<std::vector<float>> seen;
    for (std::int64_t k = 0; k < 4; ++k) {
      const minibatch b = data.at(4 * epoch + k);
      EXPECT_EQ(b.count, 16);
      for (std::size_t i = 0; i < 16; ++i) {
        seen.insert({b.inputs.begin() + static_cast<std::ptrdiff_t>(64 * i),
                     b.inputs.begin() + static_cast<std::ptrdiff_t>(64 * (i + 1))});
      }
      if (k == 0) epochs.push_back(b.inputs);
    }
    EXPECT_EQ(seen.size(), 64);
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

TEST(batches, follow_from_seed_and_step_alone) {
  const app::image_set images = test::striped_images(70, 1);
  batches once(images, 16, true, 9), again(images, 16, true, 9), other(images, 16, true, 10);
  for (const std::int64_t step : {6, 0, 5, 6}) {
    const minibatch a = once.at(step);
    EXPECT_EQ(a.inputs, batches(images, 16, true, 9).at(step).inputs);
    EXPECT_EQ(labels(a), labels(again.at(step)));
    EXPECT_NE(a.inputs, other.at(step).inputs);
  }
}

TEST(batches, move_images_as_a_padded_crop_and_a_mirror_do) {
  // One image with a different value in every pixel; black around it.
  app::image_set images{1, 1, 8, 8, {}, {3}};
  for (int i = 0; i < 64; ++i) images.pixels.push_back(static_cast<std::uint8_t>(100 + i));
  batches data(images, 1, true, 2);
  const float black = -0.2860F / 0.3530F;
  std::map<std::vector<float>, std::vector<int>> possible;
  for (int down = -4; down <= 4; ++down) {
    for (int right = -4; right <= 4; ++right) {
      for (int mirrored = 0; mirrored < 2; ++mirrored) {
        std::vector<float> moved;
        for (int y = 0; y < 8; ++y) {
          for (int k = 0; k < 8; ++k) {
            const int row = y + down, column = (mirrored ? 7 - k : k) + right;
            const bool inside = row >= 0 && row < 8 && column >= 0 && column < 8;
            const auto pixel = static_cast<float>(100 + row * 8 + column);
            moved.push_back(inside ? (pixel / 255 - 0.2860F) / 0.3530F : black);
          }
        }
        possible[moved] = {down, right, mirrored};
      }
    }
  }
  EXPECT_EQ(possible.size(), 162);
  std::map<int, int> downs, rights, mirrors;
  constexpr int draws = 1800;
  for (int step = 0; step < draws; ++step) {
    const auto found = possible.find(data.at(step).inputs);
    ASSERT_NE(found, possible.end()) << "step " << step;
    ++downs[found->second[0]];
    ++rights[found->second[1]];
    ++mirrors[found->second[2]];
  }
  // Uniform: every count within 4.5 standard deviations.
  for (int shift = -4; shift <= 4; ++shift) {
    EXPECT_NEAR(downs[shift], draws / 9.0, 4.5 * std::sqrt(draws * 8 / 81.0));
    EXPECT_NEAR(rights[shift], draws / 9.0, 4.5 * std::sqrt(draws * 8 / 81.0));
  }
  EXPECT_NEAR(mirrors[1], draws / 2.0, 4.5 * std::sqrt(draws / 4.0));
}

TEST(balanced, has_as_many_images_of_every_class) {
  const app::image_set images = test::striped_images(300, 1);
  const minibatch b = balanced(images, 5, 1);
  std::map<zo::index_t, int> counts;
  for (const zo::index_t label : b.loss.targets()) ++counts[label];
  EXPECT_EQ(b.count, 50);
  for (int label = 0; label < 10; ++label) EXPECT_EQ(counts[label], 5);
  EXPECT_NE(b.inputs, balanced(images, 5, 2).inputs);
  EXPECT_THROW(balanced(images, 31, 1), std::runtime_error);
}

TEST(images, too_few_for_a_batch_are_refused) {
  const app::image_set images = test::striped_images(10, 1);
  EXPECT_THROW(batches(images, 11, false, 1), std::runtime_error);
}

}  // namespace
