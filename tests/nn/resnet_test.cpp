// Real trained ResNets: the logits of PyTorch in float64, and their accuracy on the test images.
#include <cstdlib>
#include <filesystem>

#include "common/cifar.hpp"
#include "common/safetensors.hpp"
#include "support.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/weights.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

class nn_resnet : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("ZO_DATA_DIR");
    if (folder == nullptr ||
        !std::filesystem::exists(std::filesystem::path(folder) / "classifiers")) {
      GTEST_SKIP() << "set ZO_DATA_DIR to the folder of the real weights";
    }
    data_ = folder;
  }

  // A network with the weights of a file.
  struct trained {
    nn::network net;
    std::vector<float> parameters, statistics;
  };
  trained load(index_t depth) const {
    trained t{nn::resnet(depth), {}, {}};
    t.parameters.resize(static_cast<std::size_t>(t.net.parameter_count()));
    t.statistics.resize(static_cast<std::size_t>(t.net.statistic_count()));
    const auto file = app::read_safetensors(
        data_ / "classifiers" / ("cifar10_resnet" + std::to_string(depth) + ".safetensors"));
    std::vector<std::vector<float>> values;
    std::vector<nn::named_values<float>> named;
    for (const app::tensor& tensor : file.tensors) {
      if (tensor.dtype != app::dtype::f32) continue;
      values.push_back(tensor.values<float>());
      named.push_back({tensor.name, {tensor.shape.begin(), tensor.shape.end()}, values.back()});
    }
    nn::load<float>(t.net, named, "module.", t.parameters, t.statistics);
    return t;
  }

  static std::vector<float> normalized(std::span<const std::uint8_t> pixels) {
    constexpr float mean[3] = {0.485F, 0.456F, 0.406F}, deviation[3] = {0.229F, 0.224F, 0.225F};
    std::vector<float> x(pixels.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t channel = i / 1024 % 3;
      x[i] = (static_cast<float>(pixels[i]) / 255.0F - mean[channel]) / deviation[channel];
    }
    return x;
  }

  double accuracy(index_t depth) const {
    const trained t = load(depth);
    const app::image_set test = app::load_cifar10(app::split::test, data_);
    index_t right = 0;
    nn::forward_pass<float> pass(t.net);
    for (index_t first = 0; first < 1000; first += 250) {
      const auto pixels =
          std::span(test.pixels)
              .subspan(static_cast<std::size_t>(first) * 3072, std::size_t{250} * 3072);
      pass.run(zo::par.with_threads(2), t.parameters, t.statistics, normalized(pixels), 250,
               nn::norm_mode::eval);
      for (index_t b = 0; b < 250; ++b) {
        const auto logits = pass.outputs().subspan(static_cast<std::size_t>(b) * 10, 10);
        const auto best = std::ranges::max_element(logits) - logits.begin();
        right += best == test.labels[static_cast<std::size_t>(first + b)];
      }
    }
    return static_cast<double>(right) / 1000;
  }

  std::filesystem::path data_;
};

TEST_F(nn_resnet, logits_of_the_trained_network) {
  const trained t = load(20);
  const auto images = app::read_safetensors(data_ / "fixtures" / "cifar10_test256.safetensors");
  const auto reference =
      app::read_safetensors(data_ / "fixtures" / "cifar10_reference.safetensors");
  const std::vector<float> expected = reference.at("resnet20_logits").values<float>();
  nn::forward_pass<float> pass(t.net);
  pass.run(zo::par.with_threads(2), t.parameters, t.statistics,
           normalized(images.at("images").values<std::uint8_t>()), 256, nn::norm_mode::eval);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(pass.outputs()[i], expected[i], 1e-4) << i;
  }
}

TEST_F(nn_resnet, accuracies_on_the_thousand_test_images) {
  EXPECT_DOUBLE_EQ(accuracy(20), 0.915);
  EXPECT_DOUBLE_EQ(accuracy(56), 0.926);
}

}  // namespace
