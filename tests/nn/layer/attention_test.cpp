#include "layer_check.hpp"

namespace {

using namespace testing_nn;

nn::network attending(index_t heads, bool causal) {
  nn::network net({6, 4, 1});
  index_t x = net.position_wise(net.input(), "qkv", 12, {.separator = "_"});
  x = net.attention(x, {.heads = heads, .causal = causal});
  net.linear(net.position_wise(x, "out", 3), "b", 3);
  return net;
}

TEST(nn_attention, of_a_network_is_the_textbooks) {
  expect_textbook({attending(1, false), noise<double>(17 * 24, 7, 0.7), 17}, 5000);
  expect_textbook({attending(2, true), noise<double>(17 * 24, 7, 0.7), 17}, 5000);
}

// Scores of hundreds: one position has all of the attention, and then another one.
TEST(nn_attention, of_large_scores_is_the_textbooks) {
  nn::network net({6, 5, 1});
  net.attention(net.input(), {.heads = 1});
  expect_textbook({net, noise<double>(17 * 30, 7, 15), 17}, 1e5);
}

// Layer norms before attention and maps, and after them.
TEST(nn_attention, of_transformers_is_the_textbooks) {
  for (const bool first : {false, true}) {
    const nn::network net = nn::transformer({.tokens = 3,
                                             .entries = 7,
                                             .width = 4,
                                             .heads = 2,
                                             .layers = 1,
                                             .feed_forward = 5,
                                             .classes = 3,
                                             .norm_first = first});
    std::vector<double> tokens;
    for (index_t i = 0; i < 17 * 3; ++i) tokens.push_back(static_cast<double>(i * i % 7));
    expect_textbook({net, tokens, 17, false}, 20000);
  }
}

TEST(nn_attention, asks_for_queries_keys_and_values) {
  nn::network net({8, 4, 1});
  EXPECT_TRUE(contains(complaint([&] { net.attention(0, {.heads = 2}); }),
                       "channels must be a multiple of 6"));
  EXPECT_TRUE(
      contains(complaint([&] { net.attention(0, {.heads = 0}); }), "heads must be at least 1"));
}

}  // namespace
