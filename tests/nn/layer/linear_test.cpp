#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_linear, of_a_network_is_the_textbooks) {
  nn::network net({3, 2, 2});
  net.linear(net.linear(net.input(), "a", 9), "b", 3, false);
  expect_textbook({net, noise<double>(17 * 12, 7), 17}, 500);
}

}  // namespace
