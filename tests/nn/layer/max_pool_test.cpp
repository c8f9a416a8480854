#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_max_pool, of_a_network_is_the_textbooks) {
  nn::network net({3, 6, 5});
  const index_t x = net.max_pool(net.input(), {.kernel = 2, .stride = 1});
  const index_t y = net.convolution(x, "a", {.channels = 4});
  net.linear(net.max_pool(y, {.kernel = 3, .stride = 2}), "b", 3);
  expect_textbook({net, noise<double>(17 * 90, 7), 17}, 500);
}

}  // namespace
