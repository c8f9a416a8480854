// The forward pass against a textbook's, and its bits.
#include "zo/nn/forward.hpp"

#include "naive.hpp"
#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index;
namespace nn = zo::nn;

std::vector<nn::network> networks() {
  return {mixture(), nn::resnet(8), nn::resnet(8, {.shortcuts = nn::shortcut::projection}),
          nn::adjustable_cnn({3, 11, 9}, 5, 2), nn::mlp({12, 9, 4})};
}

// Batches of less than one group of 16 samples, of whole groups, and of a part of the last.
TEST(nn_forward, every_value_of_every_layer_is_the_textbooks) {
  for (const nn::network& net : networks()) {
    for (const index count : {1, 16, 21}) {
      if (net.multiplications() > 1000000 && count > 16) continue;
      for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
        const trial t(net, count, mode);
        const auto expected = naive_forward(net, t.parameters, t.statistics, t.inputs, count, mode);
        nn::forward_pass<double> pass(net);
        pass.run(t.parameters, t.statistics, t.inputs, count, mode);
        for (index id = 0; id < static_cast<index>(expected.size()); ++id) {
          const auto found = pass.value(id);
          const auto& wanted = expected[static_cast<std::size_t>(id)];
          ASSERT_EQ(found.size(), wanted.size());
          double worst = 0;
          for (std::size_t i = 0; i < found.size(); ++i) {
            worst = std::fmax(worst, std::abs(found[i] - wanted[i]) / (1 + std::abs(wanted[i])));
          }
          // One sample of one position has a variance of rounding errors only, which 1 / sqrt(1e-5)
          // magnifies.
          EXPECT_LT(worst, 1e-9) << "value " << id << ", " << count << " samples";
        }
        EXPECT_EQ(copy_of(pass.outputs()), pass.value(static_cast<index>(expected.size()) - 1));
      }
    }
  }
}

template <class T>
std::vector<T> outputs(const trial& t, index count, int threads) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  const auto numbers = static_cast<std::ptrdiff_t>(count * t.net.nodes().front().out.size());
  const std::vector<T> inputs(t.inputs.begin(), t.inputs.begin() + numbers);
  nn::forward_pass<T> pass(t.net);
  pass.run(at, running, inputs, count, t.mode, threads);
  return {pass.outputs().begin(), pass.outputs().end()};
}

TEST(nn_forward, same_bits_for_any_number_of_threads) {
  for (const nn::network& net : networks()) {
    const trial t(net, 37, nn::norm_mode::train);
    EXPECT_EQ(outputs<float>(t, 37, 1), outputs<float>(t, 37, 2));
    EXPECT_EQ(outputs<float>(t, 37, 1), outputs<float>(t, 37, 4));
  }
}

TEST(nn_forward, in_eval_mode_a_sample_does_not_see_the_others) {
  for (const nn::network& net : networks()) {
    const trial t(net, 37, nn::norm_mode::eval);
    const auto all = outputs<float>(t, 37, 1), some = outputs<float>(t, 5, 1);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
  }
}

TEST(nn_forward, not_a_number_stays_visible) {
  trial t(nn::mlp({4, 3, 2}), 2, nn::norm_mode::eval);
  t.parameters[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(outputs<double>(t, 2, 1)[0]));
  trial with_norm(nn::resnet(8), 2, nn::norm_mode::train);
  with_norm.inputs[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(outputs<double>(with_norm, 2, 1)[0]));
}

TEST(nn_forward, running_statistics_move_as_pytorchs) {
  const trial t(nn::adjustable_cnn({1, 4, 4}, 2, 1), 18, nn::norm_mode::train);
  const auto expected = naive_forward(t.net, t.parameters, t.statistics, t.inputs, 18, t.mode);
  nn::forward_pass<double> pass(t.net);
  pass.run(t.parameters, t.statistics, t.inputs, 18, t.mode);
  std::vector<double> moved = t.statistics;
  pass.update_statistics(moved, 0.1);
  const row_major& in = expected[1];  // of the convolution, before the batch norm
  for (std::size_t c = 0; c < 2; ++c) {
    double mean = 0, squares = 0;
    for (std::size_t b = 0; b < 18; ++b) {
      for (std::size_t i = 0; i < 16; ++i) mean += in[(b * 2 + c) * 16 + i] / 288;
    }
    for (std::size_t b = 0; b < 18; ++b) {
      for (std::size_t i = 0; i < 16; ++i) squares += std::pow(in[(b * 2 + c) * 16 + i] - mean, 2);
    }
    EXPECT_NEAR(moved[c], 0.9 * t.statistics[c] + 0.1 * mean, 1e-12);
    EXPECT_NEAR(moved[2 + c], 0.9 * t.statistics[2 + c] + 0.1 * squares / 287, 1e-12);
  }
}

}  // namespace
