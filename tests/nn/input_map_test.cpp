// Differences of a network's inputs against whole evaluations in double, and what is made of them.
#include "zo/nn/input_map.hpp"

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;
using zo::points;

void expect_says(const std::string& part, const auto& call) {
  const std::string text = complaint(call);
  EXPECT_TRUE(contains(text, part)) << "wanted: " << part << "\ngot: " << text;
}

template <class T>
points<T> rows_of(const std::vector<T>& numbers, index_t count) {
  return {numbers, count, static_cast<index_t>(numbers.size()) / count};
}

// What the network answers, by whole evaluations in double.
std::vector<double> answers(const trial& t, const std::vector<double>& inputs, index_t count) {
  nn::forward_pass<double> pass(t.net);
  pass.run(zo::seq, t.parameters, t.statistics, inputs, count, nn::norm_mode::eval);
  return copy_of(pass.outputs());
}

template <class T>
nn::input_map<T> map_of(const trial& t) {
  const std::vector<T> parameters(t.parameters.begin(), t.parameters.end());
  const std::vector<T> statistics(t.statistics.begin(), t.statistics.end());
  return nn::input_map<T>(t.net, parameters, statistics);
}

// Candidates of rows in any order, some of them asked often and some never.
TEST(nn_input_map, differences_are_those_of_whole_evaluations) {
  for (const index_t count : {1, 3, 9, 17}) {
    const trial t(mixture(), count, nn::norm_mode::eval);
    const auto wide = static_cast<std::size_t>(t.net.nodes().front().out.size());
    const std::size_t outputs = 5;
    std::vector<index_t> rows;
    for (index_t j = 0; j < 41; ++j) rows.push_back(j * j * 7 % count);
    std::vector<double> candidates = noise<double>(41 * static_cast<index_t>(wide), 11, 0.1);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      candidates[i] += t.inputs[static_cast<std::size_t>(rows[i / wide]) * wide + i % wide];
    }
    const auto base = answers(t, t.inputs, count), after = answers(t, candidates, 41);
    auto f = map_of<double>(t);
    std::vector<double> ys(base.size()), found(after.size()), by_threads(after.size());
    f.prepare(zo::seq, rows_of(t.inputs, count), ys);
    EXPECT_TRUE(same_bits(ys, base));
    f.differences(zo::seq, rows_of(candidates, 41), rows, found);
    f.prepare(zo::par.with_threads(3), rows_of(t.inputs, count), ys);
    f.differences(zo::par.with_threads(3), rows_of(candidates, 41), rows, by_threads);
    EXPECT_TRUE(same_bits(found, by_threads));
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::size_t at = static_cast<std::size_t>(rows[i / outputs]) * outputs + i % outputs;
      EXPECT_NEAR(found[i], after[i] - base[at], 1e-12) << count << ", " << i;
    }
  }
}

// The derivative of the loss by its logits, in front of which the network is asked.
std::vector<double> cotangents(const trial& t, const std::vector<double>& logits) {
  const auto classes = static_cast<std::size_t>(t.net.output().size());
  std::vector<double> v(logits.size());
  for (std::size_t b = 0; b < t.targets.size(); ++b) {
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += std::exp(logits[b * classes + k]);
    for (std::size_t k = 0; k < classes; ++k) {
      const double wanted = static_cast<index_t>(k) == t.targets[b] ? 1 : 0;
      v[b * classes + k] = std::exp(logits[b * classes + k]) / sum - wanted;
    }
  }
  return v;
}

// Bridged as ResNets are.
nn::network bridged() {
  nn::network net({2, 8, 6});
  index_t x = net.relu(net.batch_norm(net.convolution(net.input(), "a", {.channels = 4}), "an"));
  const index_t y = net.convolution(x, "b", {.channels = 8, .stride = 2});
  x = net.relu(net.add(net.batch_norm(y, "bn"), net.subsample(x, 8)));
  net.linear(net.global_average_pool(x), "c", 4);
  return net;
}

// In float, where a subtraction of losses leaves three digits at best.
TEST(nn_input_map, pullbacks_in_float_are_gradients) {
  for (const index_t count : {1, 5}) {
    const trial t(count == 1 ? bridged() : mixture(), count, nn::norm_mode::eval);
    const std::vector<float> x(t.inputs.begin(), t.inputs.end());
    const std::vector<double> base(x.begin(), x.end());
    const auto v = cotangents(t, answers(t, base, count));
    const std::vector<float> narrow(v.begin(), v.end());
    auto f = map_of<float>(t);
    const auto back = zo::pullback(zo::seq, f, rows_of(x, count), rows_of(narrow, count),
                                   zo::cge({.smoothing = 1e-6}));
    const index_t numbers = t.net.nodes().front().out.size();
    EXPECT_EQ(back.queries, count * (1 + numbers));
    EXPECT_EQ(f.multiplications(), count * numbers * t.net.multiplications());
    auto reference = map_of<double>(t);
    const auto right = zo::pullback(zo::seq, reference, rows_of(base, count), rows_of(v, count),
                                    zo::cge({.smoothing = 1e-9}));
    double apart = 0, size = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      apart += std::pow(static_cast<double>(back.gradients[i]) - right.gradients[i], 2);
      size += right.gradients[i] * right.gradients[i];
    }
    EXPECT_LT(std::sqrt(apart / size), 1e-6);
    // The reference itself, at some numbers, by losses in double.
    for (std::size_t i = 0; i < x.size(); i += 1 + x.size() / 40) {
      std::vector<double> moved = base;
      const auto loss = [&](double step) {
        moved[i] = base[i] + step;
        nn::cross_entropy all(t.targets, t.net.output().size());
        return static_cast<double>(count) * all.prepare<double>(answers(t, moved, count));
      };
      EXPECT_NEAR(right.gradients[i], (loss(1e-6) - loss(-1e-6)) / 2e-6, 2e-8) << i;
    }
  }
}

// A row that is no number fails by itself.
TEST(nn_input_map, rows_fail_alone) {
  const trial t(nn::mlp({4, 3}), 2, nn::norm_mode::eval);
  std::vector<double> x = t.inputs;
  x[1] = std::numeric_limits<double>::quiet_NaN();
  auto f = map_of<double>(t);
  const std::vector<double> v{1, 2, 3};
  const auto back = zo::pullback(zo::seq, f, rows_of(x, 2), points<double>{v, 1, 3},
                                 zo::cge({.smoothing = 1e-6, .failures = zo::on_failure::drop}));
  EXPECT_TRUE(back.ok);
  EXPECT_TRUE(std::isnan(back.y[0]));
  EXPECT_EQ(back.gradients[0], 0);
  for (std::size_t i = 0; i < 4; ++i) {
    const double right = t.parameters[i] + 2 * t.parameters[4 + i] + 3 * t.parameters[8 + i];
    EXPECT_NEAR(back.gradients[4 + i], right, 1e-12);
  }
}

TEST(nn_input_map, refuses_what_does_not_fit) {
  const trial t(mixture(), 2, nn::norm_mode::eval);
  expect_says(
      "batch norms have no statistics of a batch; hand in the 20 running ones of the "
      "network, got 0",
      [&] { nn::input_map<double>(t.net, t.parameters); });
  expect_says("parameters, got 3",
              [&] { nn::input_map<double>(t.net, std::vector<double>(3), t.statistics); });
  auto f = map_of<double>(t);
  std::vector<double> y(10);
  const std::vector<index_t> rows{0, 1}, beyond{0, 2};
  expect_says("prepare comes before differences",
              [&] { f.differences(zo::seq, rows_of(t.inputs, 2), rows, y); });
  f.prepare(zo::seq, rows_of(t.inputs, 2), y);
  expect_says("row 2 is not in 0 … 1",
              [&] { f.differences(zo::seq, rows_of(t.inputs, 2), beyond, y); });
  expect_says("2 candidates need as many rows, got 0",
              [&] { f.differences(zo::seq, rows_of(t.inputs, 2), {}, y); });
  const std::vector<double> v(4), x(12);
  expect_says("the network answers 5 numbers a row; 1 rows need room for 5, got 4",
              [&] { zo::pullback(zo::seq, f, std::vector<double>(126), v, zo::cge()); });
  expect_says("an input of the network, 2 x 9 x 7, has 126 numbers, and a row of x 12",
              [&] { zo::pullback(zo::seq, f, x, std::vector<double>(5), zo::cge()); });
}

}  // namespace
