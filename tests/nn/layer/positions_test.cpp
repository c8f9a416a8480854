#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_positions, of_a_network_is_the_textbooks) {
  nn::network net({3, 2, 2});
  index_t x = net.positions(net.position_wise(net.input(), "a", 4), "p");
  net.linear(net.relu(x), "b", 3);
  expect_textbook({net, noise<double>(17 * 12, 7), 17});
}

}  // namespace
