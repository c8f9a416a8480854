#include "certify.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "app/hostile.hpp"
#include "common/checkpoint.hpp"
#include "stage.hpp"
#include "support.hpp"

namespace {

using namespace defense;

// Class 1 where the first pixel is above one half.
torch::Tensor first_pixel(const torch::Tensor& images) {
  return images.flatten(1).select(1, 0).gt(0.5).to(torch::kInt64);
}

image_tensors two_images() {
  torch::Tensor pixels = torch::zeros({2, 1, 28, 28}, torch::kUInt8);
  pixels[0][0][0][0] = 255;
  pixels[1][0][0][0] = 128;
  return {pixels, torch::tensor({1, 1}, torch::kInt64)};
}

TEST(Certify, AHalfSpaceIsCertifiedUpToItsDistance) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  s.images = 2;
  s.n = 4000;
  const certified found = certify_images("half-space", first_pixel, two_images(), {}, s, {});
  ASSERT_EQ(found.certificates.size(), 2U);
  EXPECT_EQ(found.certificates[0].prediction, 1);
  EXPECT_LT(found.certificates[0].radius, 0.5);  // the true distance
  EXPECT_GT(found.certificates[0].radius, 0.43);
  EXPECT_TRUE(found.certificates[1].abstained());  // the image on the border
}

TEST(Certify, AFinishedCertificationIsReadBack) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  s.images = 2;
  const certified first = certify_images("half-space", first_pixel, two_images(), {}, s, {});
  s.resume = true;
  const auto never = [](const torch::Tensor&) -> torch::Tensor { throw std::logic_error("asked"); };
  const certified again = certify_images("half-space", never, two_images(), {}, s, {});
  ASSERT_EQ(again.certificates.size(), 2U);
  EXPECT_EQ(again.certificates[0].radius, first.certificates[0].radius);
  EXPECT_EQ(again.labels, first.labels);
  s.alpha = 0.01;
  EXPECT_THROW(certify_images("half-space", never, two_images(), {}, s, {}), std::runtime_error);
}

TEST(Certify, RefusesCheckpointsThatNoRunHasWritten) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  s.images = 2;
  const auto certified_again = [&] {
    certify_images("half-space", first_pixel, two_images(), {}, s, {});
  };
  certified_again();
  s.resume = true;
  const auto path = checkpoint_path(s, "half-space.certified");
  const app::safetensors content = app::load_checkpoint(path);
  const auto refuse = [&](const std::string& what, const app::safetensors& altered) {
    app::save_checkpoint(path, altered);
    try {
      certified_again();
      ADD_FAILURE() << "accepted " << what;
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(app::testing::complaint_about(error.what()), "") << what;
    }
  };
  app::testing::for_each_alteration(content, refuse);
  const auto numbers = [&](std::int64_t prediction, double bound, double radius) {
    app::safetensors altered = content;
    altered.tensors = {
        app::make_tensor<std::int64_t>("predictions", {1}, std::array{prediction}),
        app::make_tensor<double>("bounds_and_radii", {1, 2}, std::array{bound, radius})};
    return altered;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refuse("class", numbers(10, 0.5, 0));
  refuse("class", numbers(-2, 0.4, 0));
  refuse("bound", numbers(1, 1.5, 0.1));
  refuse("bound", numbers(1, nan, 0.1));
  refuse("radius", numbers(1, 0.9, nan));
  refuse("radius", numbers(1, 0.9, 100));
  refuse("radius", numbers(1, 0.9, -1));
  refuse("radius of none", numbers(-1, 0.4, 1));
  s.images = 1;  // more certificates than images: also another option
  refuse("images", content);
}

}  // namespace
