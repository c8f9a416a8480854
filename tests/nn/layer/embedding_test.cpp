#include "layer_check.hpp"

namespace {

using namespace testing_nn;

std::vector<double> some_tokens(index_t count) {
  std::vector<double> tokens;
  for (index_t i = 0; i < count; ++i) tokens.push_back(static_cast<double>(i * i % 7));
  return tokens;
}

TEST(nn_embedding, of_a_network_is_the_textbooks) {
  nn::network net({1, 4, 1});
  const index_t x = net.embedding(net.input(), "e", 7, 5);
  net.linear(x, "b", 3);
  expect_textbook({net, some_tokens(17 * 4), 17, false});
}

// A difference of tokens is another row.
TEST(nn_embedding, of_other_tokens) {
  nn::network net({1, 4, 1});
  net.embedding(net.input(), "e", 7, 5);
  const std::vector<double> table = noise<double>(35, 5), before = some_tokens(8);
  std::vector<double> moved{1, -1, 0, 2, 0, 0, 0, 1};
  nn::forward_pass<double> pass(net);
  pass.run(zo::seq, table, {}, before, 2, nn::norm_mode::eval);
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto found = copy_of(follow.from(0, moved, nn::coupling::batch));
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += before[i];
  nn::forward_pass<double> after(net);
  after.run(zo::seq, table, {}, moved, 2, nn::norm_mode::eval);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(after.outputs()[i])) {
      EXPECT_TRUE(std::isnan(found[i])) << i;
    } else {
      EXPECT_EQ(found[i], after.outputs()[i] - pass.outputs()[i]) << i;
    }
  }
}

TEST(nn_embedding, of_no_row_is_nan) {
  nn::network net({1, 4, 1});
  net.embedding(net.input(), "e", 7, 2);
  const std::vector<double> tokens{-1, 7, 0.5, 6};
  nn::forward_pass<double> pass(net);
  pass.run(zo::seq, noise<double>(14, 5), {}, tokens, 1, nn::norm_mode::eval);
  for (const std::size_t position : {0, 1, 2}) EXPECT_TRUE(std::isnan(pass.outputs()[position]));
  EXPECT_FALSE(std::isnan(pass.outputs()[3]));
}

TEST(nn_embedding, says_what_is_wrong) {
  nn::network net({3, 4, 1});
  EXPECT_TRUE(contains(complaint([&] { net.embedding(0, "e", 7, 2); }),
                       "e: tokens are one number at each position"));
  nn::network one({1, 4, 1});
  EXPECT_TRUE(contains(complaint([&] { one.embedding(0, "e", 0, 2); }), "at least 1, got 0 and 2"));
}

}  // namespace
