#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_relu, of_a_network_is_the_textbooks) {
  nn::network net({3, 2, 2});
  net.linear(net.relu(net.linear(net.relu(net.input()), "a", 9)), "b", 3);
  expect_textbook({net, noise<double>(17 * 12, 7), 17}, 500);
}

}  // namespace
