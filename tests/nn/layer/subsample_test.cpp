#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_subsample, of_a_network_is_the_textbooks) {
  nn::network net({2, 5, 6});
  const index_t x = net.convolution(net.subsample(net.input(), 6), "a", {.channels = 3});
  net.linear(net.subsample(x, 5), "b", 3);
  expect_textbook({net, noise<double>(17 * 60, 7), 17}, 500);
}

}  // namespace
