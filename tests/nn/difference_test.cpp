// Difference propagation against whole evaluations in double: every kind of layer, every position.
#include <limits>

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index;
namespace nn = zo::nn;

// Differences of every parameter tensor's first, middle and last element, at a large and a tiny
// step, against subtraction in double where subtraction can be trusted.
template <class T>
void expect_differences(const trial& t, double step, double relative) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  auto f = t.objective<T>(running);
  const double base = f.prepare(at, 0);
  EXPECT_NEAR(base, t.loss(t.parameters), 1e-5 * base);
  for (const nn::view& v : t.net.parameters()) {
    for (const index element : {index{0}, v.size / 2, v.size - 1}) {
      for (const double side : {1.0, -1.0}) {
        const index coordinate = v.offset + element;
        const T h = static_cast<T>(side * step);
        std::vector<double> up = t.parameters;
        up[static_cast<std::size_t>(coordinate)] += static_cast<double>(h);
        const double expected = t.loss(up) - t.loss(t.parameters);
        double found = 0;
        f.probe({&coordinate, 1}, {&h, 1}, {&found, 1});
        // A bias before a batch norm changes nothing: what is left is the rounding of its step.
        const double rounding = static_cast<double>(std::numeric_limits<T>::epsilon()) * step;
        EXPECT_NEAR(found, expected, relative * std::abs(expected) + rounding + 1e-14)
            << v.name << " " << element;
      }
    }
  }
}

nn::network small_resnet() { return nn::resnet(8); }

TEST(nn_difference, equals_whole_evaluations_for_every_layer) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    expect_differences<double>(trial(mixture(), 6, mode), 1e-3, 1e-9);
    expect_differences<double>(trial(nn::adjustable_cnn({3, 16, 16}, 5, 2), 4, mode), 1e-3, 1e-9);
    expect_differences<double>(trial(nn::mlp({12, 9, 4}), 5, mode), 1e-3, 1e-9);
    expect_differences<float>(trial(mixture(), 6, mode), 1e-2, 2e-4);
  }
  // More than one group of 16 samples, the last one in part or whole.
  for (const index count : {16, 21, 32}) {
    const trial t(nn::adjustable_cnn({3, 11, 9}, 5, 2), count, nn::norm_mode::train);
    expect_differences<double>(t, 1e-3, 1e-9);
    expect_differences<double>(trial(mixture(), count, nn::norm_mode::train), 1e-3, 1e-9);
  }
  expect_differences<double>(trial(small_resnet(), 2, nn::norm_mode::train), 1e-3, 1e-8);
  expect_differences<double>(trial(small_resnet(), 17, nn::norm_mode::train), 1e-3, 1e-8);
  const nn::network projected = nn::resnet(8, {.shortcuts = nn::shortcut::projection});
  expect_differences<double>(trial(projected, 2, nn::norm_mode::train), 1e-3, 1e-8);
}

// A batch norm whose own input is added to its output.
nn::network added_to_itself() {
  nn::network net({2, 6, 5});
  index x = net.convolution(net.input(), "a", {.channels = 3});
  x = net.convolution(x, "b", {.channels = 4});
  x = net.relu(net.add(x, net.batch_norm(x, "bn")));
  x = net.batch_norm(x, "n");
  net.linear(net.add(net.batch_norm(x, "nn"), x), "c", 5);
  return net;
}

TEST(nn_difference, of_a_batch_norm_added_to_its_input) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    expect_differences<double>(trial(added_to_itself(), 6, mode), 1e-3, 1e-9);
  }
}

// A step of 1e-9 in float: subtraction of two losses would be noise.
TEST(nn_difference, tiny_steps_in_float_are_derivatives) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  auto f = t.objective<float>(running);
  f.prepare(at, 0);
  double dots = 0, ours = 0, theirs = 0;
  for (const nn::view& v : t.net.parameters()) {
    for (index element = 0; element < v.size; element += 7) {
      const index coordinate = v.offset + element;
      const float h = 1e-9F;
      double found = 0;
      f.probe({&coordinate, 1}, {&h, 1}, {&found, 1});
      std::vector<double> up = t.parameters, down = t.parameters;
      up[static_cast<std::size_t>(coordinate)] += 1e-5;
      down[static_cast<std::size_t>(coordinate)] -= 1e-5;
      const double slope = (t.loss(up) - t.loss(down)) / 2e-5;
      found /= static_cast<double>(h);
      dots += slope * found;
      ours += found * found;
      theirs += slope * slope;
    }
  }
  EXPECT_GT(dots / std::sqrt(ours * theirs), 0.99999);
}

TEST(nn_difference, cge_of_the_network_is_cge_of_whole_evaluations) {
  const trial t(nn::mlp({6, 5, 3}), 4, nn::norm_mode::train);
  auto f = t.objective<double>(t.statistics);
  const auto whole = [&](std::span<const double> at) { return t.loss({at.begin(), at.end()}); };
  std::vector<double> by_parts(t.parameters.size()), by_wholes(t.parameters.size());
  const zo::cge how({.smoothing = 1e-4}, zo::central{});
  zo::estimate(zo::seq, f, t.parameters, by_parts, how);
  zo::estimate(zo::seq, whole, t.parameters, by_wholes, how);
  for (std::size_t i = 0; i < by_parts.size(); ++i) EXPECT_NEAR(by_parts[i], by_wholes[i], 1e-10);
}

// All inputs moved at once, against whole evaluations.
TEST(nn_difference, from_a_value_on_with_the_batch) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    trial t(mixture(), 6, mode);
    nn::forward_pass<double> pass(t.net);
    pass.run(t.parameters, t.statistics, t.inputs, t.count, mode);
    pass.prepare_differences();
    nn::difference_pass<double> follow(pass);
    const auto moved = noise<double>(static_cast<index>(t.inputs.size()), 21, 1e-2);
    const auto found = copy_of(follow.from(0, moved, nn::coupling::batch));
    for (std::size_t i = 0; i < moved.size(); ++i) t.inputs[i] += moved[i];
    nn::forward_pass<double> after(t.net);
    after.run(t.parameters, t.statistics, t.inputs, t.count, mode);
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], after.outputs()[i] - pass.outputs()[i], 1e-12);
    }
  }
}

// With frozen statistics the first samples alone give their rows, and the sums are what their
// definition says of the values of a network that ends before the batch norm.
TEST(nn_difference, frozen_statistics_keep_samples_apart) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  nn::forward_pass<double> pass(t.net);
  pass.run(t.parameters, t.statistics, t.inputs, t.count, t.mode);
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto moved = noise<double>(static_cast<index>(t.inputs.size()), 21, 1e-2);
  const auto all = copy_of(follow.from(0, moved, nn::coupling::frozen));
  const std::vector<nn::norm_sums> sums(follow.sums().begin(), follow.sums().end());
  const std::span<const double> first(moved.data(), moved.size() / 3);
  const auto two = copy_of(follow.from(0, first, nn::coupling::frozen));
  ASSERT_EQ(two.size(), 10U);
  for (std::size_t i = 0; i < two.size(); ++i) EXPECT_EQ(two[i], all[i]);
  ASSERT_EQ(sums.size(), 2U);
  const nn::node& norm = t.net.nodes()[static_cast<std::size_t>(sums[0].node)];
  EXPECT_EQ(norm.name, "an");
  // The first convolution alone, before and after.
  nn::network head({2, 9, 7});
  head.convolution(head.input(), "a", {.channels = 4, .kernel = 3, .bias = true});
  const std::span<const double> weights(t.parameters.data(),
                                        static_cast<std::size_t>(head.parameter_count()));
  std::vector<double> inputs = t.inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] += moved[i];
  nn::forward_pass<double> before(head), after(head);
  before.run(weights, {}, t.inputs, t.count, t.mode);
  after.run(weights, {}, inputs, t.count, t.mode);
  for (std::size_t row = 0; row < 24; ++row) {
    double sum = 0, squares = 0;
    for (std::size_t i = row * 63; i < (row + 1) * 63; ++i) {
      const double c = before.outputs()[i] - pass.means(sums[0].node)[row % 4];
      const double d = after.outputs()[i] - before.outputs()[i];
      sum += d;
      squares += (c + d) * (c + d) - c * c;
    }
    EXPECT_NEAR(sums[0].of_difference[row], sum, 1e-12);
    EXPECT_NEAR(sums[0].of_squares[row], squares, 1e-12);
  }
  EXPECT_TRUE(contains(complaint([&] { follow.from(0, first, nn::coupling::batch); }),
                       "a change of value 0 has 126 numbers for each of 6 samples"));
}

void expect_says(const std::string& part, const auto& call) {
  const std::string text = complaint(call);
  EXPECT_TRUE(contains(text, part)) << "wanted: " << part << "\ngot: " << text;
}

// Differences are of the last run of their base pass, or of none.
TEST(nn_difference, of_another_run_of_the_base_pass_are_refused) {
  const trial t(mixture(), 6, nn::norm_mode::train), few(mixture(), 2, nn::norm_mode::train);
  nn::forward_pass<double> pass(t.net);
  const auto run = [&](const trial& with) {
    pass.run(with.parameters, with.statistics, with.inputs, with.count, with.mode);
  };
  const auto first = "run and prepare_differences of the base pass come first";
  expect_says(first, [&] { nn::difference_pass<double>{pass}; });
  run(t);
  expect_says(first, [&] { nn::difference_pass<double>{pass}; });
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto wanted = copy_of(follow(3, 1e-3));
  const auto moved = noise<double>(static_cast<index>(few.inputs.size()), 21, 1e-2);
  const auto later = "the base pass has run since";
  run(few);
  expect_says(later, [&] { follow(3, 1e-3); });
  expect_says(first, [&] { follow.begin(); });
  pass.prepare_differences();
  expect_says(later, [&] { follow(3, 1e-3); });
  expect_says(later, [&] { follow.from(0, moved, nn::coupling::frozen); });
  follow.begin();
  EXPECT_EQ(follow(3, 1e-3).size(), 2U * 5U);
  pass = nn::forward_pass<double>(t.net);
  expect_says(later, [&] { follow(3, 1e-3); });
  run(t);
  pass.prepare_differences();
  nn::difference_pass<double> again(pass);
  EXPECT_EQ(copy_of(again(3, 1e-3)), wanted);
  static_assert(!std::is_constructible_v<nn::difference_pass<float>, nn::forward_pass<float>&&>);
}

TEST(nn_difference, questions_that_do_not_fit_are_named) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  nn::forward_pass<double> pass(t.net);
  pass.run(t.parameters, t.statistics, t.inputs, t.count, t.mode);
  expect_says("products in bfloat16 are for networks of float",
              [&] { pass.prepare_differences(nn::products::bfloat16); });
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto wanted = copy_of(follow(3, 1e-3));
  for (const index off : {index{-1}, t.net.parameter_count(), std::numeric_limits<index>::max()}) {
    expect_says("is not in 0 … ", [&] { follow(off, 1e-3); });
  }
  for (const index off : {index{-1}, static_cast<index>(t.net.nodes().size())}) {
    expect_says("is not in 0 … ", [&] { follow.from(off, t.inputs, nn::coupling::batch); });
  }
  const auto sizes = "a change of value 0 has 126 numbers for each of 6 samples";
  for (const std::size_t size : {std::size_t{0}, std::size_t{125}, std::size_t{7 * 126}}) {
    const std::vector<double> moved(size);
    expect_says(sizes, [&] { follow.from(0, moved, nn::coupling::batch); });
    expect_says(sizes, [&] { follow.from(0, moved, nn::coupling::frozen); });
  }
  EXPECT_EQ(copy_of(follow(3, 1e-3)), wanted);
}

TEST(nn_difference, the_same_bits_for_any_number_of_threads) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  std::vector<float> one(at.size());
  auto f = t.objective<float>(running);
  zo::estimate(zo::seq, f, at, one, zo::cge());
  for (const int threads : {2, 4}) {
    std::vector<float> several(at.size());
    auto g = t.objective<float>(running, threads);
    zo::estimate(zo::seq, g, at, several, zo::cge());
    EXPECT_TRUE(same_bits(several, one)) << threads;
  }
}

}  // namespace
