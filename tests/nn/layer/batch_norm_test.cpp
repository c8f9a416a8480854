#include "layer_check.hpp"

namespace {

using namespace testing_nn;

// Alone, with a ReLU, with a sum, and with both; the sum's other side moves or stays.
nn::network every_chain() {
  nn::network net({3, 3, 2});
  const index_t x = net.position_wise(net.input(), "a", 4);
  const index_t y = net.relu(net.batch_norm(x, "an"));
  const index_t z = net.relu(net.add(net.batch_norm(net.position_wise(y, "b", 4), "bn"), y));
  const index_t w = net.add(net.batch_norm(net.position_wise(z, "c", 4), "cn"), x);
  net.linear(net.batch_norm(w, "dn"), "d", 3);
  return net;
}

TEST(nn_batch_norm, of_a_network_is_the_textbooks) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    expect_textbook({every_chain(), noise<double>(17 * 18, 7), 17, true, mode}, 20000);
  }
}

}  // namespace
