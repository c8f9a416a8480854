#include "zo/nn/layer/gelu.hpp"
#include "layer_check.hpp"

namespace {

using namespace testing_nn;

TEST(nn_gelu, of_a_network_is_the_textbooks) {
  nn::network net({3, 5, 1});
  index_t x = net.position_wise(net.gelu(net.input()), "a", 4);
  net.linear(net.gelu(x), "b", 3);
  expect_textbook({net, noise<double>(17 * 15, 7, 2), 17});
}

// Where each formula holds, and where they meet; of tiny steps, in both tails, across zero.
TEST(nn_gelu, differences_keep_their_digits) {
  for (const double x : {0.0, 1e-9, 0.3, -0.75179, 1.0, -1.0, 2.5, -2.5, 6.0, -6.0, 20.0, -20.0}) {
    for (const double size :
         {1e-15, 1e-12, 1e-8, 1e-3, 0.04, 0.2, 0.49, 0.51, 0.99, 1.01, 3.0, 30.0}) {
      for (const double d : {size, -size}) {
        const wide a = wide(x), b = wide(x) + wide(d);
        const wide right = b * distribution(b) - a * distribution(a);
        // Two terms, each to a few units, and in the tails to those of x^2 / 2.
        const wide terms =
            abs_of(wide(d) * distribution(b)) + abs_of(a * (distribution(b) - distribution(a)));
        const wide off = abs_of(wide(nn::detail::gelu_difference(x, d)) - right);
        const double units =
            20 + (a < 0 || b < 0 ? 2 * static_cast<double>(std::max(a * a, b * b)) : 0);
        EXPECT_LE(static_cast<double>(off), units * 2.3e-16 * static_cast<double>(terms))
            << x << " + " << d;
      }
    }
  }
}

}  // namespace
