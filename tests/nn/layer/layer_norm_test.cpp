#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_layer_norm, of_a_network_is_the_textbooks) {
  nn::network net({5, 3, 2});
  index_t x = net.layer_norm(net.input(), "n");
  x = net.layer_norm(net.position_wise(x, "a", 7), "m");
  net.linear(x, "b", 3);
  expect_textbook({net, noise<double>(17 * 30, 7, 2), 17}, 3000);
}

// Channels that are nearly alike: what is left of them after the mean is nearly all rounding.
TEST(nn_layer_norm, of_a_large_mean_is_the_textbooks) {
  nn::network net({6, 2, 1});
  net.layer_norm(net.input(), "n");
  std::vector<double> inputs = noise<double>(17 * 12, 7, 1);
  for (double& x : inputs) x = static_cast<float>(1000 + x);
  expect_textbook({net, inputs, 17}, 3e5);
}

TEST(nn_layer_norm, says_what_is_wrong) {
  nn::network net({6, 2, 1});
  EXPECT_TRUE(
      contains(complaint([&] { net.layer_norm(0, "n", 0); }), "n: epsilon must be above 0"));
}

}  // namespace
