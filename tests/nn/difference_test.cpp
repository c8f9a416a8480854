// Difference propagation against whole evaluations in double: every kind of layer, every position.
#include <limits>

#include "naive.hpp"
#include "trial.hpp"
#include "wide.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;
namespace nn = zo::nn;

// Differences of every parameter tensor's first, middle and last element, at a large and a tiny
// step, against subtraction in double where subtraction can be trusted.
template <class T>
void expect_differences(const trial& t, double step, double relative) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  auto f = t.objective<T>(running);
  const double base = f.prepare(zo::seq, at, 0);
  EXPECT_NEAR(base, t.loss(t.parameters), 1e-5 * base);
  for (const nn::view& v : t.net.parameters()) {
    for (const index_t element : {index_t{0}, v.size / 2, v.size - 1}) {
      for (const double side : {1.0, -1.0}) {
        const index_t coordinate = v.offset + element;
        const T h = static_cast<T>(side * step);
        std::vector<double> up = t.parameters;
        up[static_cast<std::size_t>(coordinate)] += static_cast<double>(h);
        const double expected = t.loss(up) - t.loss(t.parameters);
        double found = 0;
        f.probe(zo::seq, {&coordinate, 1}, {&h, 1}, {&found, 1});
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
  for (const index_t count : {16, 21, 32}) {
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
  index_t x = net.convolution(net.input(), "a", {.channels = 3});
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
  f.prepare(zo::seq, at, 0);
  double dots = 0, ours = 0, theirs = 0;
  for (const nn::view& v : t.net.parameters()) {
    for (index_t element = 0; element < v.size; element += 7) {
      const index_t coordinate = v.offset + element;
      const float h = 1e-9F;
      double found = 0;
      f.probe(zo::seq, {&coordinate, 1}, {&h, 1}, {&found, 1});
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

// One channel, a batch norm and a squared error, of images of this level and contrast: what happens
// to the loss when the only weight, `weight`, moves by a step, in float, in double and in 113 bits.
struct one_weight {
  nn::network net{{1, 8, 8}};
  std::vector<float> inputs;
  std::vector<double> targets;
  double weight;

  one_weight(double level, double contrast, double of = 0.5) : weight(of) {
    net.batch_norm(net.convolution(net.input(), "c", {.channels = 1, .kernel = 1, .padding = 0}),
                   "n");
    for (int i = 0; i < 32 * 64; ++i) {
      inputs.push_back(static_cast<float>(level + contrast * std::sin(1.7 * i)));
      targets.push_back(std::sin(1.7 * i + 0.3));
    }
  }
  template <class T>
  double difference(double step) const {
    const std::vector<T> parameters{static_cast<T>(weight), 1, 0}, statistics(2);
    nn::objective<T, nn::squared_error> f(
        net,
        [&](zo::sample_id) {
          return nn::minibatch<T, nn::squared_error>{
              {inputs.begin(), inputs.end()}, 32, nn::squared_error(targets, 32)};
        },
        statistics);
    f.prepare(zo::seq, parameters, 0);
    const index_t coordinate = 0;
    const T by = static_cast<T>(step);
    double found = 0;
    f.probe(zo::seq, {&coordinate, 1}, {&by, 1}, {&found, 1});
    return found;
  }
  wide loss(wide w) const {
    const std::vector<wide> values{inputs.begin(), inputs.end()};
    const auto y =
        naive_forward<wide>(net, {w, 1, 0}, {0, 0}, values, 32, nn::norm_mode::train).back();
    wide sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += (y[i] - targets[i]) * (y[i] - targets[i]);
    return sum / static_cast<wide>(y.size());
  }
  void expect(double step, double of_float, double of_double = 1e-9) const {
    const auto held = static_cast<double>(static_cast<float>(step));
    const auto right = static_cast<double>(loss(wide(weight) + wide(held)) - loss(weight));
    EXPECT_NEAR(difference<float>(held), right, of_float * std::abs(right)) << step;
    EXPECT_NEAR(difference<double>(held), right, of_double * std::abs(right)) << step;
  }
};

// What is lost in float is what its products step * x cannot hold, relative to the contrast.
TEST(nn_difference, of_a_batch_norm_of_bright_images) {
  for (const double step : {1.0, 10.0, 100.0, 1e5}) one_weight(1, 1e-3).expect(step, 1e-4);
  for (const double step : {10.0, 100.0}) one_weight(1, 1e-4).expect(step, 1e-4);
  for (const double step : {1.0, 0.1}) one_weight(200, 0.1).expect(step, 1e-3);
  for (const double step : {1e3, 1e-4}) one_weight(1, 1).expect(step, 2e-3);
  one_weight(3, 0.1).expect(5e-3, 1e-4);
}

// Little or nothing is left of the variance, which rounding could make negative. Then the terms of
// a batch norm's form are large, and with them a unit of their rounding.
TEST(nn_difference, of_a_variance_that_goes) {
  for (const double contrast : {1.0, 1e3, 1e5}) {
    const one_weight t(3 * contrast, contrast);
    for (const double left : {0.0, 1.0 / 1024, -0.5}) {
      const double step = left - 0.5;
      const double root = std::sqrt(left * left * contrast * contrast / 2 + 1e-5);
      const double units = 16 * std::abs(step) * contrast / root;
      const auto right = static_cast<double>(t.loss(left) - t.loss(0.5));
      EXPECT_NEAR(t.difference<float>(step), right, units * 0x1p-24) << contrast << ", " << step;
      EXPECT_NEAR(t.difference<double>(step), right, units * 0x1p-53) << contrast << ", " << step;
    }
  }
}

// Squares of these differences are beyond float.
TEST(nn_difference, of_steps_whose_squares_overflow) {
  one_weight(1, 0.1).expect(1e25, 1e-3);
  one_weight(1e15, 1e15, 1e10).expect(-2e10, 1e-3);
}

TEST(nn_difference, not_a_number_wins_in_a_pool) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  nn::network net({1, 2, 2});
  net.max_pool(net.input());
  for (std::size_t i = 0; i < 4; ++i) {
    for (const bool base : {false, true}) {
      std::vector<float> x{1, 5, 3, 4}, d{0, 0, 0, 0};
      (base ? x : d)[i] = none;
      nn::forward_pass<float> pass(net);
      pass.run(zo::seq, {}, {}, x, 1, nn::norm_mode::eval);
      pass.prepare_differences();
      nn::difference_pass<float> follow(pass);
      EXPECT_TRUE(std::isnan(follow.from(0, d, nn::coupling::batch)[0])) << i << base;
    }
  }
}

TEST(nn_difference, infinite_minus_infinite_is_no_number) {
  const float infinite = std::numeric_limits<float>::infinity();
  nn::network relu({1, 1, 1}), most({1, 1, 2});
  relu.relu(relu.input());
  most.max_pool(most.input(), {.kernel = 1});
  const auto moved = [](const nn::network& net, float x, float d) {
    nn::forward_pass<float> pass(net);
    const std::vector<float> values(static_cast<std::size_t>(net.nodes()[0].out.size()), x);
    const std::vector<float> changes(values.size(), d);
    pass.run(zo::seq, {}, {}, values, 1, nn::norm_mode::eval);
    pass.prepare_differences();
    nn::difference_pass<float> follow(pass);
    return follow.from(0, changes, nn::coupling::batch)[0];
  };
  for (const float d : {1.0F, -1.0F, -infinite}) {
    EXPECT_TRUE(std::isnan(moved(relu, infinite, d))) << d;
    EXPECT_TRUE(std::isnan(moved(most, infinite, d))) << d;
  }
  EXPECT_EQ(moved(relu, -infinite, 1), 0);
  EXPECT_TRUE(std::isnan(moved(relu, -infinite, infinite)));
  EXPECT_EQ(moved(relu, 2, -infinite), -2);
}

// The winner of a window changes by less than rounding leaves of the numbers' distance.
TEST(nn_difference, of_a_pool_keeps_what_cancels) {
  nn::network two({1, 2, 2});
  two.max_pool(two.input());
  const std::vector<float> x{1, 1e-9F, 0, 0}, d{0, 1, 0, 0};
  nn::forward_pass<float> pass(two);
  pass.run(zo::seq, {}, {}, x, 1, nn::norm_mode::eval);
  pass.prepare_differences();
  nn::difference_pass<float> follow(pass);
  EXPECT_EQ(follow.from(0, d, nn::coupling::batch)[0], 1e-9F);
}

// All inputs moved at once, against whole evaluations.
TEST(nn_difference, from_a_value_on_with_the_batch) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    trial t(mixture(), 6, mode);
    nn::forward_pass<double> pass(t.net);
    pass.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, mode);
    pass.prepare_differences();
    nn::difference_pass<double> follow(pass);
    const auto moved = noise<double>(static_cast<index_t>(t.inputs.size()), 21, 1e-2);
    const auto found = copy_of(follow.from(0, moved, nn::coupling::batch));
    for (std::size_t i = 0; i < moved.size(); ++i) t.inputs[i] += moved[i];
    nn::forward_pass<double> after(t.net);
    after.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, mode);
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
  pass.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, t.mode);
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto moved = noise<double>(static_cast<index_t>(t.inputs.size()), 21, 1e-2);
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
  before.run(zo::seq, weights, {}, t.inputs, t.count, t.mode);
  after.run(zo::seq, weights, {}, inputs, t.count, t.mode);
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
    pass.run(zo::seq, with.parameters, with.statistics, with.inputs, with.count, with.mode);
  };
  const auto first = "run and prepare_differences of the base pass come first";
  expect_says(first, [&] { nn::difference_pass<double>{pass}; });
  run(t);
  expect_says(first, [&] { nn::difference_pass<double>{pass}; });
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto wanted = copy_of(follow(3, 1e-3));
  const auto moved = noise<double>(static_cast<index_t>(few.inputs.size()), 21, 1e-2);
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
  const nn::forward_pass<double> elsewhere = std::move(pass);
  expect_says(later, [&] { again(3, 1e-3); });
  EXPECT_EQ(copy_of(nn::difference_pass<double>(elsewhere)(3, 1e-3)), wanted);
  static_assert(!std::is_constructible_v<nn::difference_pass<float>, nn::forward_pass<float>&&>);
}

TEST(nn_difference, questions_that_do_not_fit_are_named) {
  const trial t(mixture(), 6, nn::norm_mode::train);
  nn::forward_pass<double> pass(t.net);
  pass.run(zo::seq, t.parameters, t.statistics, t.inputs, t.count, t.mode);
  expect_says("products in bfloat16 are for networks of float",
              [&] { pass.prepare_differences(nn::products::bfloat16); });
  pass.prepare_differences();
  nn::difference_pass<double> follow(pass);
  const auto wanted = copy_of(follow(3, 1e-3));
  for (const index_t off :
       {index_t{-1}, t.net.parameter_count(), std::numeric_limits<index_t>::max()}) {
    expect_says("is not in 0 … ", [&] { follow(off, 1e-3); });
  }
  for (const index_t off : {index_t{-1}, static_cast<index_t>(t.net.nodes().size())}) {
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
    zo::estimate(zo::par.with_threads(threads), f, at, several, zo::cge());
    EXPECT_TRUE(same_bits(several, one)) << threads;
  }
}

// Every position of the outputs of two convolutions, a pool and a batch norm.
nn::network image_to_image() {
  nn::network net({2, 9, 7});
  index_t x = net.relu(net.batch_norm(net.convolution(0, "a", {.channels = 5}), "an"));
  x = net.max_pool(x, {.kernel = 2, .stride = 1});
  net.batch_norm(net.convolution(x, "b", {.channels = 3, .kernel = 1, .padding = 0}), "bn");
  return net;
}

template <class T>
double paired(std::span<const T> cotangent, std::span<const T> changes) {
  double sum = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    sum += static_cast<double>(cotangent[i]) * static_cast<double>(changes[i]);
  }
  return sum;
}

template <class T>
struct paired_trial {
  trial t;
  std::vector<T> parameters{t.parameters.begin(), t.parameters.end()};
  std::vector<T> statistics{t.statistics.begin(), t.statistics.end()};
  std::vector<T> inputs{t.inputs.begin(), t.inputs.end()};
  nn::forward_pass<T> pass{t.net};
  std::vector<T> cotangent = noise<T>(t.count * t.net.output().size(), 21);

  explicit paired_trial(trial from) : t(std::move(from)) {
    pass.run(zo::seq, parameters, statistics, inputs, t.count, t.mode);
    pass.prepare_differences();
    pass.pair_with(cotangent);
  }
};

template <class T>
void expect_paired_parameters(const trial& from, double relative) {
  const paired_trial<T> p(from);
  nn::difference_pass<T> change(p.pass), sum(p.pass);
  for (index_t i = 0; i < p.t.net.parameter_count(); ++i) {
    const std::span<const T> changes = change(i, T(1e-3));
    const double expected = paired<T>(p.cotangent, changes);
    double size = 0;
    for (const T c : changes) size += std::abs(static_cast<double>(c));
    ASSERT_NEAR(sum.paired(i, T(1e-3)), expected, relative * size) << i;
  }
  EXPECT_EQ(sum.multiplications(), change.multiplications());
}

TEST(nn_difference, paired_with_a_cotangent_are_sums_of_the_changes) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    for (const index_t count : {5, 16, 19}) {
      expect_paired_parameters<double>(trial(image_to_image(), count, mode), 1e-14);
      expect_paired_parameters<float>(trial(image_to_image(), count, mode), 1e-6);
      expect_paired_parameters<double>(trial(mixture(), count, mode), 1e-14);
    }
  }
}

// One channel of a value that changes, against all channels of which the others do not.
TEST(nn_difference, of_one_channel_are_told_apart_by_window_and_sample) {
  const index_t count = 19;
  const paired_trial<double> p(trial(image_to_image(), count, nn::norm_mode::train));
  nn::difference_pass<double> all(p.pass), one(p.pass);
  const nn::shape out = p.t.net.output();
  const std::vector<nn::window> windows{{0, out.height, 0, out.width},
                                        {1, 4, 2, 3},
                                        {3, 3, 0, 2},
                                        {out.height - 1, out.height, 0, 1}};
  for (index_t node = 0; node < static_cast<index_t>(p.t.net.nodes().size()); ++node) {
    const nn::shape s = p.t.net.nodes()[static_cast<std::size_t>(node)].out;
    for (const auto how : {nn::coupling::batch, nn::coupling::frozen}) {
      const index_t some = how == nn::coupling::frozen ? 17 : count, channel = s.channels - 1;
      const std::vector<double> moved = noise<double>(some * s.area(), 31, 1e-2);
      std::vector<double> wide(static_cast<std::size_t>(some * s.size()), 0.0);
      for (index_t b = 0; b < some; ++b) {
        std::copy_n(moved.begin() + b * s.area(), s.area(),
                    wide.begin() + b * s.size() + channel * s.area());
      }
      const std::span<const double> changes = all.from(node, wide, how);
      std::vector<double> sums(windows.size() * static_cast<std::size_t>(some));
      one.paired(node, channel, moved, how, windows, sums);
      for (std::size_t k = 0; k < windows.size(); ++k) {
        for (index_t b = 0; b < some; ++b) {
          double expected = 0;
          for (index_t i = 0; i < out.size(); ++i) {
            const index_t y = i % out.area() / out.width, x = i % out.width;
            const nn::window& w = windows[k];
            if (y < w.top || y >= w.bottom || x < w.left || x >= w.right) continue;
            const auto at = static_cast<std::size_t>(b * out.size() + i);
            expected += p.cotangent[at] * changes[at];
          }
          ASSERT_NEAR(sums[k * static_cast<std::size_t>(some) + static_cast<std::size_t>(b)],
                      expected, 1e-14)
              << node << " " << k << " " << b;
        }
      }
      if (how == nn::coupling::batch) continue;
      ASSERT_EQ(one.sums().size(), all.sums().size());
      for (std::size_t k = 0; k < all.sums().size(); ++k) {
        ASSERT_EQ(one.sums()[k].node, all.sums()[k].node);
        for (std::size_t i = 0; i < all.sums()[k].of_squares.size(); ++i) {
          ASSERT_NEAR(one.sums()[k].of_difference[i], all.sums()[k].of_difference[i], 1e-14);
          ASSERT_NEAR(one.sums()[k].of_squares[i], all.sums()[k].of_squares[i], 1e-13);
        }
      }
    }
  }
}

TEST(nn_difference, paired_questions_that_cannot_be_are_refused) {
  paired_trial<double> p(trial(image_to_image(), 3, nn::norm_mode::train));
  nn::difference_pass<double> d(p.pass);
  const auto says = [](const std::string& part, const auto& call) {
    EXPECT_TRUE(contains(complaint(call), part)) << complaint(call);
  };
  std::vector<double> moved(3 * 63), sums(3);
  const std::vector<nn::window> whole{{0, 8, 0, 6}}, beyond{{0, 9, 0, 6}}, before{{-1, 2, 0, 6}};
  const auto ask = [&](index_t node, index_t channel, const std::vector<nn::window>& windows) {
    d.paired(node, channel, moved, nn::coupling::frozen, windows, sums);
  };
  ask(0, 1, whole);
  says("channel 2 of value 0 is not in 0 … 1", [&] { ask(0, 2, whole); });
  says("channel -1", [&] { ask(0, -1, whole); });
  says("value 99 is not in", [&] { ask(99, 0, whole); });
  says("beyond the outputs, 3 x 8 x 6", [&] { ask(0, 0, beyond); });
  says("beyond the outputs", [&] { ask(0, 0, before); });
  sums.resize(2);
  says("1 windows and 3 samples need as many sums, got 2", [&] { ask(0, 0, whole); });
  sums.resize(3);
  moved.pop_back();
  says("a change of value 0 has 63 numbers", [&] { ask(0, 0, whole); });
  says("need a cotangent of 432 numbers, got 3", [&] { p.pass.pair_with(sums); });
  p.pass.run(zo::seq, p.parameters, p.statistics, p.inputs, 3, nn::norm_mode::train);
  p.pass.prepare_differences();
  d.begin();
  says("pair_with of the base pass comes before paired questions", [&] { d.paired(0, 1e-3); });
  nn::forward_pass<double> fresh(p.t.net);
  says("there are no values before run", [&] { fresh.pair_with(p.cotangent); });
}

}  // namespace
