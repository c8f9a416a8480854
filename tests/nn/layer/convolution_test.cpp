#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_convolution, of_a_network_is_the_textbooks) {
  nn::network net({3, 6, 5});
  index_t x = net.convolution(net.input(), "a", {.channels = 4, .kernel = 3, .bias = true});
  x = net.convolution(x, "b", {.channels = 9, .kernel = 2, .stride = 2, .padding = 0});
  net.linear(net.convolution(x, "c", {.channels = 3, .kernel = 5, .stride = 1, .padding = 2}), "d",
             3);
  expect_textbook({net, noise<double>(17 * 90, 7), 17}, 500);
}

}  // namespace
