#include "certify.hpp"

#include <gtest/gtest.h>

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

}  // namespace
