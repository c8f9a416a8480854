#include "networks.hpp"

#include <gtest/gtest.h>

namespace {

TEST(Networks, ShapesFitTogether) {
  const torch::Tensor images = torch::rand({3, 1, 28, 28});
  auto encoder = defense::make_encoder(7);
  auto decoder = defense::make_decoder(7);
  const torch::Tensor latent = encoder->forward(images);
  EXPECT_EQ(latent.sizes(), (std::vector<std::int64_t>{3, 7}));
  const torch::Tensor decoded = decoder->forward(latent);
  EXPECT_EQ(decoded.sizes(), images.sizes());
  EXPECT_GE(decoded.min().item<float>(), 0);
  EXPECT_LE(decoded.max().item<float>(), 1);
  EXPECT_EQ(defense::make_classifier()->forward(images).sizes(),
            (std::vector<std::int64_t>{3, 10}));
}

TEST(Networks, AnUntrainedDenoiserIsTheIdentity) {
  defense::dncnn denoiser(3, 5, 8);
  const torch::Tensor images = torch::randn({2, 3, 16, 16});
  EXPECT_TRUE(torch::equal(denoiser->forward(images), images));
}

TEST(Networks, TheFullSizeDenoiserHasTheParametersOfThePaper) {
  const auto count = [](defense::dncnn denoiser) {
    std::int64_t sum = 0;
    for (const auto& weight : denoiser->parameters()) sum += weight.numel();
    return sum;
  };
  EXPECT_EQ(count(defense::dncnn(3, 17, 64)), 558400);
  EXPECT_EQ(count(defense::dncnn(1, 17, 64)), 556096);
}

TEST(Networks, FrozenModulesAskForNoGradient) {
  auto encoder = defense::make_encoder(4);
  defense::freeze(*encoder);
  for (const auto& weight : encoder->parameters()) EXPECT_FALSE(weight.requires_grad());
  EXPECT_FALSE(encoder->is_training());
}

}  // namespace
