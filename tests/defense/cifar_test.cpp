// The published CIFAR-10 networks against reference outputs computed in float64. Needs ZO_DATA_DIR.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "checkpoint_tensors.hpp"
#include "cifar_networks.hpp"
#include "common/safetensors.hpp"
#include "networks.hpp"
#include "problem.hpp"

namespace {

using namespace defense;

class Cifar : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("ZO_DATA_DIR");
    if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "fixtures")) {
      GTEST_SKIP() << "set ZO_DATA_DIR to a folder with cifar10/, classifiers/ and zo_ae_ds/";
    }
    data_ = folder;
    reference_ = app::read_safetensors(data_ / "fixtures/cifar10_reference.safetensors");
    const auto fixture = app::read_safetensors(data_ / "fixtures/cifar10_test256.safetensors");
    images_ = to_torch(fixture.at("images")).to(torch::kFloat32).div(255);
    load_weights(*classifier_, weights("classifiers/cifar10_resnet20"), "module.");
    load_weights(*encoder_, weights("zo_ae_ds/encoder"), "encoder.");
    load_weights(*decoder_, weights("zo_ae_ds/decoder"), "decoder.");
    freeze(*classifier_);
    freeze(*encoder_);
    freeze(*decoder_);
  }

  app::safetensors weights(const std::string& name) const {
    return app::read_safetensors(data_ / (name + ".safetensors"));
  }
  torch::Tensor reference(const std::string& name) const { return to_torch(reference_.at(name)); }

  static double error(const torch::Tensor& a, const torch::Tensor& b) {
    return (a - b).abs().max().item<double>();
  }

  std::filesystem::path data_;
  app::safetensors reference_;
  torch::Tensor images_;
  resnet20 classifier_;
  torch::nn::Sequential encoder_ = make_cifar_encoder();
  torch::nn::Sequential decoder_ = make_cifar_decoder();
};

TEST_F(Cifar, NetworksGiveTheReferenceOutputs) {
  const torch::NoGradGuard no_gradient;
  EXPECT_LT(error(classifier_->forward(images_), reference("resnet20_logits")), 1e-4);
  const auto latent = encoder_->forward(images_);
  EXPECT_LT(error(latent, reference("encoder_out").flatten(1)), 1e-4);
  const auto decoded = decoder_->forward(latent);
  EXPECT_LT(error(decoded.slice(0, 0, 16), reference("decoder_out_16")), 1e-5);
  EXPECT_LT(error(classifier_->forward(decoded), reference("resnet20_of_decoder_logits")), 1e-4);
}

TEST_F(Cifar, TheWholeChainGivesTheReferenceLoss) {
  const torch::NoGradGuard no_gradient;
  dncnn denoiser(3, 17, 64);
  load_weights(*denoiser, weights("fixtures/dncnn17_weak"), "");
  denoiser->eval();
  const auto clean = images_.slice(0, 0, 16);
  const auto denoised = denoiser->forward(clean + 0.25 * reference("noise_16"));
  EXPECT_LT(error(denoised, reference("dncnn_out_16")), 1e-4);
  const auto logits = classifier_->forward(decoder_->forward(encoder_->forward(denoised)));
  EXPECT_LT(error(logits, reference("chain_logits_16")), 1e-3);
  const auto targets = classifier_->forward(clean).argmax(1);
  EXPECT_TRUE(torch::equal(targets, reference("targets_16")));
}

TEST_F(Cifar, AWeightOfAnotherShapeIsRefused) {
  auto other = make_cifar_decoder();
  EXPECT_THROW(load_weights(*other, weights("zo_ae_ds/encoder"), "encoder."), std::runtime_error);
}

}  // namespace
