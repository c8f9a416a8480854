// The forward pass against a textbook's, and its bits.
#include "zo/nn/forward.hpp"

#include "naive.hpp"
#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;
namespace nn = zo::nn;

std::vector<nn::network> networks() {
  return {mixture(), nn::resnet(8), nn::resnet(8, {.shortcuts = nn::shortcut::projection}),
          nn::adjustable_cnn({3, 11, 9}, 5, 2), nn::mlp({12, 9, 4})};
}

// Batches of less than one group of 16 samples, of whole groups, and of a part of the last.
TEST(nn_forward, every_value_of_every_layer_is_the_textbooks) {
  for (const nn::network& net : networks()) {
    for (const index_t count : {1, 16, 21}) {
      if (net.multiplications() > 1000000 && count > 16) continue;
      for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
        const trial t(net, count, mode);
        const auto expected = naive_forward(net, t.parameters, t.statistics, t.inputs, count, mode);
        nn::forward_pass<double> pass(net);
        pass.run(zo::seq, t.parameters, t.statistics, t.inputs, count, mode);
        for (index_t id = 0; id < static_cast<index_t>(expected.size()); ++id) {
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
        EXPECT_EQ(copy_of(pass.outputs()), pass.value(static_cast<index_t>(expected.size()) - 1));
      }
    }
  }
}

template <class T>
std::vector<T> outputs(const trial& t, index_t count, int threads) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  const auto numbers = static_cast<std::ptrdiff_t>(count * t.net.nodes().front().out.size());
  const std::vector<T> inputs(t.inputs.begin(), t.inputs.begin() + numbers);
  nn::forward_pass<T> pass(t.net);
  pass.run(zo::par.with_threads(threads), at, running, inputs, count, t.mode);
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

// Padding wider than the kernel: outputs at the border see nothing but it.
TEST(nn_forward, windows_may_lie_outside_of_the_image) {
  nn::network net({2, 4, 3});
  net.convolution(net.input(), "a", {.channels = 3, .kernel = 2, .padding = 5, .bias = true});
  nn::network far({1, 2, 2});
  far.convolution(far.input(), "a", {.channels = 1, .kernel = 3, .stride = 7, .padding = 9});
  for (const nn::network& n : {net, far}) {
    const trial t(n, 3, nn::norm_mode::eval);
    const auto expected = naive_forward(n, t.parameters, {}, t.inputs, 3, t.mode);
    nn::forward_pass<double> pass(n);
    pass.run(zo::seq, t.parameters, {}, t.inputs, 3, t.mode);
    ASSERT_EQ(pass.outputs().size(), expected[1].size());
    for (std::size_t i = 0; i < expected[1].size(); ++i) {
      EXPECT_NEAR(pass.outputs()[i], expected[1][i], 1e-12);
    }
  }
}

void expect_says(const std::string& part, const auto& call) {
  const std::string text = complaint(call);
  EXPECT_TRUE(contains(text, part)) << "wanted: " << part << "\ngot: " << text;
}

TEST(nn_forward, what_does_not_fit_is_named) {
  const trial t(nn::adjustable_cnn({1, 4, 4}, 2, 1), 3, nn::norm_mode::train);
  nn::forward_pass<double> pass(t.net);
  const auto before = "there are no values before run";
  const auto nothing_yet = [&] {
    expect_says(before, [&] { pass.outputs(); });
    expect_says(before, [&] { pass.value(0); });
    expect_says(before, [&] { pass.means(2); });
    expect_says(before, [&] { pass.roots(2); });
    expect_says(before, [&] { pass.prepare_differences(); });
    std::vector<double> s = t.statistics;
    expect_says(before, [&] { pass.update_statistics(s); });
  };
  nothing_yet();
  const auto refuses = [&](const std::string& part, index_t count) {
    expect_says(part,
                [&] { pass.run(zo::seq, t.parameters, t.statistics, t.inputs, count, t.mode); });
  };
  constexpr index_t huge = std::numeric_limits<index_t>::max();
  refuses("a batch needs at least one sample, got 0", 0);
  refuses("a batch needs at least one sample, got -1", -1);
  refuses("4 samples of 1 x 4 x 4 need 64 numbers, got 48", 4);
  refuses("of 1 x 4 x 4 need 9223372036854775807 numbers, got 48", huge);
  refuses("of 1 x 4 x 4 need", (huge >> 4) + 4);  // 16 of these and 2^63 are 48
  nothing_yet();
  pass.run(zo::par.with_threads(std::numeric_limits<int>::max()), t.parameters, t.statistics,
           t.inputs, 3, t.mode);
  EXPECT_EQ(copy_of(pass.outputs()), outputs<double>(t, 3, 1));
  expect_says("value 99 is not in 0 … ", [&] { pass.value(99); });
  expect_says("value -1 is not in 0 … ", [&] { pass.value(-1); });
  expect_says("value 1 is no batch norm", [&] { pass.means(1); });
  expect_says("value -1 is no batch norm", [&] { pass.roots(-1); });
  std::vector<double> three(3), s = t.statistics;
  expect_says("4 statistics, got 3", [&] { pass.update_statistics(three); });
  for (const double momentum : {-0.1, 1.1, not_a_number}) {
    expect_says("momentum must be 0 … 1, got", [&] { pass.update_statistics(s, momentum); });
  }
  EXPECT_EQ(s, t.statistics);
  expect_says("parameters, got 3",
              [&] { pass.run(zo::seq, three, t.statistics, t.inputs, 3, t.mode); });
  expect_says("statistics, got 3",
              [&] { pass.run(zo::seq, t.parameters, three, t.inputs, 3, t.mode); });
  pass.run(zo::seq, t.parameters, t.statistics, t.inputs, 3, nn::norm_mode::eval);
  expect_says("after a pass in train mode", [&] { pass.update_statistics(s); });
}

// 2^30 inputs would be fine; of what the network makes of them no index counts the bytes.
TEST(nn_forward, values_beyond_any_memory_are_refused) {
  nn::network net({1, 1, 1});
  net.subsample(net.input(), (index_t{1} << 44) - 1);
  nn::forward_pass<float> pass(net);
  const std::vector<float> inputs(1 << 14);
  expect_says("are more numbers than fit into memory",
              [&] { pass.run(zo::seq, {}, {}, inputs, 1 << 14, nn::norm_mode::eval); });
}

TEST(nn_forward, a_batch_norm_of_one_number_is_refused_by_name) {
  nn::network net({2, 2, 2});
  index_t x = net.relu(net.batch_norm(net.convolution(net.input(), "c", {.channels = 2}), "wide"));
  x = net.batch_norm(net.linear(x, "l", 3), "narrow");
  const trial one(net, 1, nn::norm_mode::train);
  nn::forward_pass<double> pass(net);
  const auto run = [&](const trial& t, nn::norm_mode mode) {
    pass.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, mode);
  };
  expect_says("batch norm narrow sees one number a channel in a batch of 1 sample of 3 x 1 x 1",
              [&] { run(one, nn::norm_mode::train); });
  run(one, nn::norm_mode::eval);
  EXPECT_TRUE(std::isfinite(pass.outputs()[0]));
  run(trial(net, 2, nn::norm_mode::train), nn::norm_mode::train);
  EXPECT_TRUE(std::isfinite(pass.outputs()[0]));
}

// A variance of zero is one; of a negative one there is no root.
TEST(nn_forward, running_variances_are_zero_or_more) {
  trial t(nn::adjustable_cnn({1, 4, 4}, 2, 1), 3, nn::norm_mode::eval);
  const auto at = static_cast<std::size_t>(t.net.statistics().back().offset + 1);
  t.statistics[at] = 0;
  EXPECT_TRUE(std::isfinite(outputs<double>(t, 3, 1)[0]));
  t.statistics[at] = -0.5;
  expect_says("bn0.running_var is -0.5 in channel 1", [&] { outputs<double>(t, 3, 1); });
  expect_says("bn0.running_var is -0.5 in channel 1", [&] { outputs<float>(t, 3, 1); });
  t.mode = nn::norm_mode::train;  // where it is not read
  EXPECT_TRUE(std::isfinite(outputs<double>(t, 3, 1)[0]));
}

// Of inputs that are all alike the variance is zero, and rounding must not make it less.
TEST(nn_forward, the_variance_of_equal_numbers_moves_to_zero) {
  for (const double epsilon : {1e-5, 1e-3, 0.3, 7e-11}) {
    nn::network net({1, 2, 2});
    net.batch_norm(net.input(), "n", epsilon);
    nn::forward_pass<double> pass(net);
    pass.run(zo::seq, std::vector<double>{1, 0}, std::vector<double>{0, 1},
             std::vector<double>(8, 3.3), 2, nn::norm_mode::train);
    std::vector<double> s{0, 0};
    pass.update_statistics(s, 1);
    EXPECT_GE(s[1], 0);
    EXPECT_LE(s[1], 1e-15);
  }
}

TEST(nn_forward, keeps_nothing_of_the_callers) {
  const trial t(nn::mlp({12, 9, 4}), 3, nn::norm_mode::eval);
  nn::forward_pass<double> pass(nn::mlp({12, 9, 4}));
  pass.run(zo::seq, std::vector<double>(t.parameters), {}, std::vector<double>(t.inputs), 3,
           t.mode);
  const nn::forward_pass<double> copy = pass;
  pass.run(zo::seq, std::vector<double>(t.parameters.size()), {}, t.inputs, 3, t.mode);
  EXPECT_EQ(copy_of(copy.outputs()), outputs<double>(t, 3, 1));
  EXPECT_EQ(copy.net().parameter_count(), t.net.parameter_count());
}

template <class T>
std::vector<T> outputs_of(const nn::network& net, const std::vector<T>& inputs, index_t count = 1) {
  nn::forward_pass<T> pass(net);
  std::vector<T> parameters(static_cast<std::size_t>(net.parameter_count()), T(1));
  const std::vector<T> statistics(static_cast<std::size_t>(net.statistic_count()));
  for (const nn::view& v : net.parameters()) {  // batch norms: gamma 1, beta 0
    if (net.nodes()[static_cast<std::size_t>(v.node)].bias < 0 || v.name.ends_with("weight"))
      continue;
    std::fill_n(parameters.begin() + v.offset, v.size, T(0));
  }
  pass.run(zo::seq, parameters, statistics, inputs, count, nn::norm_mode::train);
  return copy_of(pass.outputs());
}

TEST(nn_forward, not_a_number_wins_in_a_pool) {
  nn::network most({1, 2, 2});
  most.max_pool(most.input());
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<float> x{1, 5, 3, 4};
    x[i] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(outputs_of(most, x)[0])) << i;
  }
  nn::network relu({1, 1, 1});
  relu.relu(relu.input());
  EXPECT_TRUE(std::isnan(outputs_of<float>(relu, {std::numeric_limits<float>::quiet_NaN()})[0]));
}

template <class T>
void expect_large_means() {
  const T most = std::numeric_limits<T>::max(), infinite = std::numeric_limits<T>::infinity();
  nn::network pool({1, 2, 2}), whole({1, 2, 2}), norm({1, 2, 2});
  pool.average_pool(pool.input());
  whole.global_average_pool(whole.input());
  norm.batch_norm(norm.input(), "n");
  for (const nn::network& net : {pool, whole}) {
    EXPECT_EQ(outputs_of<T>(net, {most, most, most, most})[0], most);
    EXPECT_EQ(outputs_of<T>(net, {most, most, -most, -most})[0], 0);
    EXPECT_EQ(outputs_of<T>(net, {infinite, 1, 1, most})[0], infinite);
    EXPECT_TRUE(std::isnan(outputs_of<T>(net, {infinite, 1, 1, -infinite})[0]));
  }
  const auto found = outputs_of<T>(norm, {most, -most, most, -most});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], i % 2 == 0 ? 1 : -1, 1e-6);
}

TEST(nn_forward, means_of_numbers_whose_sum_is_none) {
  expect_large_means<float>();
  expect_large_means<double>();
}

// Bright images of little contrast: nothing is lost beside what the numbers themselves have.
TEST(nn_forward, a_batch_norm_of_bright_images) {
  nn::network net({1, 4, 4});
  net.batch_norm(net.input(), "n");
  std::vector<float> x;
  for (const double v : noise<double>(20 * 16, 3)) x.push_back(static_cast<float>(200 + 0.1 * v));
  const auto right =
      naive_forward(net, {1.0, 0.0}, {}, widened(x), 20, nn::norm_mode::train).back();
  const auto found = outputs_of(net, x, 20);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(found[i], right[i], 1e-6);
}

TEST(nn_forward, running_statistics_move_as_pytorchs) {
  const trial t(nn::adjustable_cnn({1, 4, 4}, 2, 1), 18, nn::norm_mode::train);
  const auto expected = naive_forward(t.net, t.parameters, t.statistics, t.inputs, 18, t.mode);
  nn::forward_pass<double> pass(t.net);
  pass.run(zo::seq, t.parameters, t.statistics, t.inputs, 18, t.mode);
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
