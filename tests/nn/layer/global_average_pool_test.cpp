#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_global_average_pool, of_a_network_is_the_textbooks) {
  nn::network net({3, 6, 5});
  const index_t x = net.convolution(net.input(), "a", {.channels = 4});
  net.linear(net.global_average_pool(x), "b", 3);
  expect_textbook({net, noise<double>(17 * 90, 7), 17}, 500);
}

}  // namespace
