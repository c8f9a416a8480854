#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_add, of_a_network_is_the_textbooks) {
  nn::network net({3, 4, 2});
  const index_t a = net.position_wise(net.input(), "a", 4), b = net.position_wise(a, "b", 4);
  const index_t c = net.relu(net.add(a, b));  // both move, one of them in one channel
  const index_t d = net.add(c, net.position_wise(net.input(), "c", 4));
  net.linear(net.add(d, d), "d", 3);
  expect_textbook({net, noise<double>(17 * 24, 7), 17}, 500);
}

}  // namespace
