#include "black_box.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "networks.hpp"
#include "problem.hpp"

namespace {

using defense::black_box;

TEST(BlackBox, CountsEveryImageWhateverTheBatch) {
  std::int64_t largest = 0;
  black_box box(
      [&](const torch::Tensor& images) {
        largest = std::max(largest, images.size(0));
        return images.flatten(1).slice(1, 0, 10);
      },
      4);
  const torch::Tensor images = torch::rand({10, 1, 28, 28});
  EXPECT_TRUE(torch::equal(box.answers(images), images.flatten(1).slice(1, 0, 10)));
  EXPECT_EQ(box.queries(), 10);
  box.classes(images.slice(0, 0, 3));
  EXPECT_EQ(box.queries(), 13);
  EXPECT_EQ(largest, 4);
}

TEST(BlackBox, NoGradientPasses) {
  auto network = defense::network_of(defense::make_classifier());
  network.module->eval();
  black_box box(network.forward);
  const torch::Tensor images = torch::rand({2, 1, 28, 28}).requires_grad_();
  const torch::Tensor answer = box.answers(images);
  EXPECT_FALSE(answer.requires_grad());
  EXPECT_FALSE(answer.grad_fn());
  EXPECT_THROW(answer.sum().backward(), c10::Error);
  for (const auto& weight : network.module->parameters()) EXPECT_FALSE(weight.grad().defined());
}

TEST(BlackBox, AServiceThatAnswersTooLittleIsNamed) {
  black_box box([](const torch::Tensor&) { return torch::zeros({1, 10}); });
  EXPECT_THROW(box.answers(torch::zeros({3, 1, 28, 28})), std::runtime_error);
}

}  // namespace
