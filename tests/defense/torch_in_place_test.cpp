// zo/torch.hpp: the parameters of a module, moved in place.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <zo/torch.hpp>
#include <zo/zo.hpp>

namespace {

std::string complaint(const std::vector<torch::Tensor>& tensors) {
  try {
    zo::parameter_spans<float>(tensors);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

TEST(TorchInPlace, ParametersAreTrainedAndGivenBackBitForBit) {
  torch::manual_seed(3);
  torch::nn::Sequential net(torch::nn::Linear(4, 8), torch::nn::Tanh(), torch::nn::Linear(8, 1));
  const torch::Tensor inputs = torch::randn({32, 4}), targets = inputs.sum(1, true);
  std::uint64_t asked = 0, fails_at = 0;
  const auto loss = [&] {
    const torch::NoGradGuard no_gradient;
    if (++asked == fails_at) throw std::runtime_error("no answer");
    return torch::mse_loss(net->forward(inputs), targets).item<double>();
  };
  zo::in_place steps(zo::parameter_spans<float>(net->parameters()),
                     zo::rge({.directions = 8}, zo::gaussian{}, zo::central{}),
                     zo::adam({.rate = 0.02}));
  EXPECT_EQ(steps.dimension(), 4 * 8 + 8 + 8 + 1);
  const double before = loss();
  for (std::uint64_t t = 0; t < 100; ++t) EXPECT_TRUE(steps(zo::par, loss, {.step = t}).ok);
  EXPECT_LT(loss(), 0.2 * before);

  std::vector<torch::Tensor> kept;
  for (const torch::Tensor& one : net->parameters()) kept.push_back(one.detach().clone());
  fails_at = asked + 5;
  EXPECT_THROW(steps(zo::par, loss, {.step = 100}), std::runtime_error);
  for (std::size_t k = 0; k < kept.size(); ++k) {
    EXPECT_TRUE(torch::equal(net->parameters()[k], kept[k]));
  }
}

TEST(TorchInPlace, TensorsThatCannotBeMovedAreRefused) {
  const torch::Tensor good = torch::ones({2, 3, 4, 5});
  EXPECT_EQ(complaint({good, good.transpose(0, 1), torch::ones({0})}), "");
  EXPECT_EQ(complaint({good, torch::Tensor()}), "zo::parameter_spans: tensor 1 is undefined");
  EXPECT_EQ(complaint({good, good.to(torch::kFloat64)}),
            "zo::parameter_spans: tensor 1 holds Double, not Float");
  EXPECT_EQ(complaint({good.slice(1, 0, 2)}),
            "zo::parameter_spans: tensor 0 has gaps in memory; give a contiguous one");
  EXPECT_EQ(complaint({good.expand({7, 2, 3, 4, 5})}),
            "zo::parameter_spans: tensor 0 has gaps in memory; give a contiguous one");
  EXPECT_EQ(complaint({good.to_sparse()}),
            "zo::parameter_spans: tensor 0 has gaps in memory; give a contiguous one");
}

}  // namespace
