// Gradients block by block against central differences of whole evaluations in double.
#include "by_block/by_block.hpp"

#include "nn/trial.hpp"

namespace {

using namespace testing_nn;
using deepzero::block_estimator;
using deepzero::by_block_result;
using zo::index_t;

// Residual blocks, option A and a strided convolution included, whose reach ends within the image.
nn::network blocks() {
  nn::network net({2, 10, 8});
  index_t x = net.relu(net.batch_norm(net.convolution(0, "first", {.channels = 4}), "firstn"));
  index_t y = net.relu(net.batch_norm(net.convolution(x, "a", {.channels = 8, .stride = 2}), "an"));
  y = net.batch_norm(net.convolution(y, "b", {.channels = 8}), "bn");
  x = net.relu(net.add(y, net.subsample(x, 8)));
  y = net.batch_norm(net.convolution(x, "c", {.channels = 8, .kernel = 1, .padding = 0}), "cn");
  x = net.relu(net.add(y, x));
  net.linear(net.global_average_pool(x), "last", 5);
  return net;
}

// Stages with every pool, a bias before a batch norm, and one without.
nn::network stages() {
  nn::network net({3, 17, 13});
  index_t x = net.convolution(0, "a", {.channels = 5, .bias = true});
  x = net.max_pool(net.relu(net.batch_norm(x, "an")));
  x = net.average_pool(net.relu(net.convolution(x, "b", {.channels = 6})), {.kernel = 3});
  x = net.relu(net.batch_norm(net.convolution(x, "c", {.channels = 4}), "cn"));
  net.linear(x, "last", 4);
  return net;
}

// Norms at the input, behind a ReLU, twice read and added to itself; and a value that nobody reads.
nn::network norms() {
  nn::network net({3, 5, 4});
  index_t x = net.convolution(net.relu(net.batch_norm(0, "first")), "a", {.channels = 4});
  x = net.batch_norm(net.average_pool(net.relu(x), {.stride = 1}), "behind");
  x = net.add(net.batch_norm(x, "twice"), x);
  net.batch_norm(x, "unread");
  x = net.add(x, x);
  net.linear(net.global_average_pool(x), "last", 3);
  return net;
}

// Layers of sequences, without their tokens.
nn::network sequence() {
  nn::network net({4, 6, 1});
  index_t x = net.positions(net.position_wise(0, "in", 6), "places");
  x = net.attention(net.position_wise(x, "three", 12), {.heads = 2});
  x = net.gelu(net.position_wise(net.layer_norm(x, "norm"), "out", 5));
  net.linear(net.global_average_pool(x), "last", 3);
  return net;
}

struct answer {
  by_block_result result;
  std::vector<double> gradient;
};

// Without dither, so that it is the gradient at the inputs of the trial.
answer ask(const trial& t, int threads, const deepzero::by_block_options& options = {1e-7, 0}) {
  block_estimator<double> blocks(t.net);
  answer found{{}, std::vector<double>(t.parameters.size())};
  const deepzero::by_block_calls<double> calls{.weights = [&](auto& f, auto x, auto slopes) {
    return zo::estimate(zo::par.with_threads(threads), f, x, slopes, zo::cge({.smoothing = 1e-7}));
  }};
  found.result = blocks(zo::par.with_threads(threads), t.batch<double>(), t.parameters,
                        t.statistics, options, found.gradient, calls);
  return found;
}

std::vector<trial> trials() {
  std::vector<trial> all;
  all.emplace_back(nn::mlp({7, 6, 4}), 5, nn::norm_mode::train);
  all.emplace_back(nn::adjustable_cnn({2, 24, 16}, 4, 3), 18, nn::norm_mode::train);
  all.emplace_back(blocks(), 6, nn::norm_mode::train);
  all.emplace_back(stages(), 5, nn::norm_mode::train);
  all.emplace_back(norms(), 4, nn::norm_mode::train);
  all.emplace_back(sequence(), 4, nn::norm_mode::train);
  return all;
}

TEST(by_block, all_questions_give_the_gradient) {
  for (const trial& t : trials()) {
    const std::vector<double> expected = t.gradient(1e-7);
    const answer found = ask(t, 1);
    EXPECT_TRUE(found.result.ok);
    EXPECT_NEAR(found.result.value, t.loss(t.parameters), 1e-13);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(found.gradient[i], expected[i], 1e-6)
          << t.net.parameter_of(static_cast<index_t>(i)).name << " " << i;
    }
  }
}

TEST(by_block, more_threads_give_the_same_bits) {
  for (const trial& t : trials()) EXPECT_EQ(ask(t, 3).gradient, ask(t, 1).gradient);
}

TEST(by_block, a_network_is_cut_at_its_products_and_sums) {
  const auto names = [](const nn::network& net) {
    std::string found;
    for (const deepzero::block_range& of : deepzero::blocks_of(net)) {
      for (index_t id = of.first; id <= of.last; ++id) {
        const nn::node& n = net.nodes()[static_cast<std::size_t>(id)];
        EXPECT_EQ(n.first, id == of.first ? of.input : id - 1);
        found += std::string(id == of.first ? found.empty() ? "" : " | " : " ") +
                 nn::traits_of(n.what).name;
      }
    }
    return found;
  };
  EXPECT_EQ(names(nn::adjustable_cnn({3, 32, 32}, 4, 2)),
            "convolution | batch_norm relu max_pool | convolution | batch_norm relu max_pool | "
            "global_average_pool linear");
  EXPECT_EQ(names(blocks()),
            "convolution | batch_norm relu | convolution | batch_norm relu | convolution | "
            "batch_norm | subsample | relu | convolution | batch_norm | relu | "
            "global_average_pool linear");
  EXPECT_EQ(names(nn::mlp({3, 5, 2})), "linear | relu | linear");
  nn::network net({3, 4, 4});
  net.relu(net.batch_norm(net.relu(net.input()), "n"));
  EXPECT_EQ(names(net), "relu batch_norm relu");
}

TEST(by_block, queries_are_those_made) {
  const trial t(nn::adjustable_cnn({3, 32, 32}, 4, 2), 3, nn::norm_mode::train);
  // Behind each of two convolutions a batch norm, a ReLU and a pool of 2 x 2, of which every second
  // row and column is moved at once; the second one reads 3 x 3, every third; and behind a mean
  // over 8 x 8 each number is a question. 4 channels; 10 outputs, up and down.
  const index_t inputs = 4 * (2 * 2 + 3 * 3 + 2 * 2 + 8 * 8), blocks = 5;
  EXPECT_EQ(ask(t, 1).result.queries, 1 + 20 + t.net.parameter_count() + blocks + inputs);
}

// Where images are constant every number under a max pool is the largest.
TEST(by_block, dither_tells_equal_numbers_apart) {
  trial t(nn::adjustable_cnn({1, 12, 12}, 4, 1), 8, nn::norm_mode::train);
  for (std::size_t i = 0; i < t.inputs.size(); ++i) t.inputs[i] = double(i / 144 % 8 < i % 12);
  const std::vector<double> expected = t.gradient(1e-7);
  const auto error = [&](double dither) {
    const std::vector<double> found = ask(t, 1, {1e-9, dither}).gradient;
    double off = 0, size = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      off += (found[i] - expected[i]) * (found[i] - expected[i]);
      size += expected[i] * expected[i];
    }
    return std::sqrt(off / size);
  };
  EXPECT_GT(error(0), 0.1);
  EXPECT_LT(error(1e-4), 0.01);
}

TEST(by_block, bad_options_are_refused) {
  const trial t(nn::mlp({3, 4, 2}), 3, nn::norm_mode::train);
  const auto says = [&](const char* sentence, const deepzero::by_block_options& options) {
    try {
      ask(t, 1, options);
      ADD_FAILURE() << "accepted: " << sentence;
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find(sentence), std::string::npos) << e.what();
    }
  };
  says("smoothing must be a number above 0, got 0", {.smoothing = 0});
  says("smoothing must be a number above 0, got inf", {.smoothing = INFINITY});
  says("dither must be a number from 0 on, got -1", {.dither = -1});
}

}  // namespace
