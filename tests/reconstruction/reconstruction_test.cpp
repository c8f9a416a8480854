// The measurement, the attack, and the gradient at the boundary of a reconstructor.
#include <gtest/gtest.h>

#include <zo/zo.hpp>

#include "reconstruction/boundary.hpp"
#include "reconstruction/problem.hpp"
#include "reconstruction/training.hpp"

namespace {

using reconstruction::measurement;

TEST(Measurement, IsSymmetricAndFollowsFromItsSeed) {
  const measurement a(60, 3), b(60, 3), c(60, 4);
  const torch::Tensor matrix = a.matrix();
  EXPECT_EQ(matrix.size(0), 784);
  EXPECT_TRUE(torch::allclose(matrix, matrix.t(), 1e-5, 1e-6));
  EXPECT_TRUE(torch::equal(matrix, b.matrix()));
  EXPECT_FALSE(torch::equal(matrix, c.matrix()));
  // A of variance 1 / 60: A Aᵀ has 1 on its diagonal in the mean, with standard error
  // sqrt(2 / 60 / 784), and rank 60.
  const double mean = matrix.diag().mean().item<double>();
  EXPECT_LT(std::abs(mean - 1) / std::sqrt(2.0 / 60 / 784), 4);
  const auto values = torch::linalg_eigvalsh(matrix.to(torch::kFloat64));
  EXPECT_EQ((values > 1e-3).sum().item<std::int64_t>(), 60);
}

TEST(Measurement, IsTheProductWithItsMatrix) {
  torch::manual_seed(1);
  const measurement measured(50, 2);
  const torch::Tensor x = torch::rand({3, 1, 28, 28});
  const torch::Tensor want =
      torch::matmul(x.view({3, 784}), measured.matrix()).view({3, 1, 28, 28});
  EXPECT_TRUE(torch::allclose(measured(x), want, 1e-4, 1e-4));
}

TEST(Attack, StaysInItsBallAndRaisesTheError) {
  torch::manual_seed(1);
  const torch::Tensor originals = torch::rand({4, 1, 28, 28});
  const torch::Tensor measured = 0.3 + 0.4 * torch::rand({4, 1, 28, 28});
  const auto reconstruct = [](const torch::Tensor& z, std::int64_t) { return (2 * z).flatten(1); };
  const torch::Tensor worse =
      reconstruction::attacked(reconstruct, measured, originals, 1.5, 20, 7);
  const torch::Tensor moved = (worse - measured).flatten(1).norm(2, 1);
  EXPECT_LE(moved.max().item<double>(), 1.5 + 1e-4);
  EXPECT_GE(worse.min().item<double>(), 0);
  EXPECT_LE(worse.max().item<double>(), 1);
  const auto error = [&](const torch::Tensor& z) {
    return (reconstruct(z, 0) - originals.flatten(1)).pow(2).sum().item<double>();
  };
  EXPECT_GT(error(worse), error(measured) * 1.1);
}

TEST(Boundary, IsTheGradientOfBackPropagation) {
  torch::manual_seed(2);
  const auto in = torch::randn({5, 8}, torch::kFloat64),
             out = torch::randn({8, 6}, torch::kFloat64);
  const auto net = [&](const torch::Tensor& z) {
    return torch::tanh(torch::matmul(torch::tanh(torch::matmul(z, in)), out));
  };
  const torch::Tensor z = torch::randn({4, 5}, torch::kFloat64).requires_grad_();
  const torch::Tensor target = torch::randn({4, 6}, torch::kFloat64);
  torch::Tensor y = net(z);
  const torch::Tensor v = (2 * (y - target)).detach();
  (y - target).pow(2).sum().backward();
  const auto pulled = reconstruction::pull_back<double>(
      net, z, y, v, zo::cge({.smoothing = 1e-6}, zo::central{}), {});
  EXPECT_EQ(pulled.queries, 4 * 2 * 5);
  EXPECT_LT((pulled.gradients - z.grad()).abs().max().item<double>(), 1e-8);
}

}  // namespace
