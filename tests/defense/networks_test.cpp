#include "networks.hpp"

#include <gtest/gtest.h>

#include <array>

#include "cifar_networks.hpp"

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

TEST(Networks, TheCifarDecoderIsTheChainOfTransposedConvolutions) {
  const torch::NoGradGuard no_gradient;
  torch::manual_seed(1);
  auto decoder = defense::make_cifar_decoder();
  for (auto& weight : decoder->parameters()) weight.normal_(0, 0.1);
  const auto weights = decoder->parameters();
  ASSERT_EQ(weights.size(), 8U);
  const torch::Tensor latent = torch::randn({5, 192});
  constexpr std::array<std::int64_t, 4> strides = {2, 2, 3, 4};
  constexpr std::array<std::int64_t, 4> paddings = {0, 1, 2, 0};
  torch::Tensor x = latent.view({5, 192, 1, 1});
  for (std::size_t i = 0; i < 4; ++i) {
    x = torch::conv_transpose2d(x, weights[2 * i], weights[2 * i + 1], strides[i], paddings[i]);
    x = i < 3 ? torch::relu(x) : torch::sigmoid(x);
  }
  const torch::Tensor decoded = decoder->forward(latent);
  ASSERT_EQ(decoded.sizes(), x.sizes());
  EXPECT_LT((decoded - x).abs().max().item<float>(), 1e-5F);
  EXPECT_GT(x.std().item<float>(), 1e-3F);
}

}  // namespace
