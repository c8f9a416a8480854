// zo/torch.hpp: gradients of a black box of tensors, handed to back-propagation.
#include <gtest/gtest.h>

#include <zo/torch.hpp>
#include <zo/zo.hpp>

namespace {

// loss_b = sum_i weight_{row, i} z_{b, i}, known gradient: the row's weights.
struct linear_box {
  torch::Tensor weights;
  torch::Tensor operator()(const torch::Tensor& candidates, const torch::Tensor& rows) const {
    return (candidates * weights.index_select(0, rows)).flatten(1).sum(1);
  }
};

TEST(TorchBoundary, CgeOfALinearBoxIsItsGradientInTheShapeOfZ) {
  torch::manual_seed(1);
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    const linear_box box{torch::randn({5, 2, 3}, type)};
    const torch::Tensor z = torch::randn({5, 2, 3}, type);
    const auto found = zo::boundary(zo::par, box, z, zo::cge({.smoothing = 0.01}));
    EXPECT_EQ(found.gradients.sizes(), z.sizes());
    EXPECT_EQ(found.gradients.scalar_type(), type);
    EXPECT_TRUE(torch::allclose(found.gradients, box.weights, 1e-3, 1e-3));
    EXPECT_TRUE(torch::allclose(found.losses, (z * box.weights).sum({1, 2}).to(torch::kFloat64),
                                1e-4, 1e-5));
    EXPECT_EQ(found.queries, 5 * (1 + 6));
    EXPECT_TRUE(found.ok);
  }
}

TEST(TorchBoundary, SurrogateBackPropagatesTheChainRule) {
  torch::manual_seed(2);
  const torch::Tensor x = torch::randn({4, 3}, torch::kFloat64);
  const torch::Tensor white = torch::randn({3, 2}, torch::kFloat64).requires_grad_();
  const linear_box box{torch::randn({4, 2}, torch::kFloat64)};
  const torch::Tensor z = torch::tanh(x.mm(white));
  const auto found = zo::boundary(zo::seq, box, z, zo::cge({.smoothing = 1e-4}, zo::central{}));
  (z * found.gradients).sum().backward();
  const torch::Tensor by_queries = white.grad().clone();
  white.mutable_grad().zero_();
  (torch::tanh(x.mm(white)) * box.weights).sum().backward();
  EXPECT_TRUE(torch::allclose(by_queries, white.grad(), 1e-6, 1e-8));
}

TEST(TorchBoundary, ZIsNotChangedAndNoGradientIsRecorded) {
  const torch::Tensor z = torch::ones({2, 3}).requires_grad_();
  const torch::Tensor before = z.detach().clone();
  bool recorded = false;
  const auto box = [&](const torch::Tensor& candidates, const torch::Tensor&) {
    recorded = recorded || candidates.requires_grad() || torch::GradMode::is_enabled();
    return candidates.square().sum(1);
  };
  const auto found = zo::boundary(zo::par, box, z, zo::rge({.directions = 3}, zo::sphere{}));
  EXPECT_FALSE(recorded);
  EXPECT_FALSE(found.gradients.requires_grad());
  EXPECT_TRUE(torch::equal(z.detach(), before));
}

TEST(TorchBoundary, WrongNumberOfLossesAndWrongTypesAreRefused) {
  const auto short_box = [](const torch::Tensor&, const torch::Tensor&) {
    return torch::zeros({1});
  };
  EXPECT_THROW(zo::boundary(zo::par, short_box, torch::zeros({2, 3}), zo::cge()),
               std::invalid_argument);
  EXPECT_THROW(zo::boundary(zo::par, short_box, torch::zeros({2, 3}, torch::kInt64), zo::cge()),
               std::invalid_argument);
}

}  // namespace
