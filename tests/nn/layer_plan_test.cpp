// Plans: what questions cost, which are chosen, and whether the estimate is as near as was asked.
#include "zo/nn/layer_plan.hpp"

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;

nn::network convolutions() {
  nn::network net({2, 8, 8});
  index_t x = net.relu(net.batch_norm(net.convolution(0, "a", {.channels = 3}), "an"));
  x = net.relu(net.batch_norm(net.convolution(x, "b", {.channels = 12, .stride = 2}), "bn"));
  net.linear(x, "c", 4);
  return net;
}

nn::layered_problem<double> problem_of(const trial& t, const nn::minibatch<double>& batch,
                                       int threads = 1) {
  return {t.net, batch, t.parameters, t.statistics, t.mode, threads};
}

const nn::layer_choice& choice_of(const nn::layer_plan& plan, const trial& t, const char* name) {
  const index_t id = t.net.parameter(name).node;
  return *std::ranges::find(plan.layers, id, &nn::layer_choice::node);
}

// a: 192 numbers, of one channel 64; b: 192; c: 4. b works on 27 inputs, c on 192.
TEST(nn_layer_plan, costs_are_multiplications_and_numbers) {
  const nn::network net = convolutions();
  EXPECT_EQ(nn::cost_from(net, 0, false), 128 + 192 * 19 + 2 * 192 + 192 * 28 + 2 * 192 + 4 * 193);
  EXPECT_EQ(nn::cost_from(net, 1, true), 3 * 64 + 192 * 10 + 2 * 192 + 4 * 193);
  EXPECT_EQ(nn::cost_from(net, 4, true), 3 * 16 + 4 * 17);
  EXPECT_EQ(nn::cost_from(net, 6, false), 192 + 4 * 193);
}

TEST(nn_layer_plan, a_cosine_of_one_is_the_gradient) {
  for (const auto mode : {nn::norm_mode::train, nn::norm_mode::eval}) {
    const trial t(convolutions(), 6, mode);
    const auto batch = t.batch<double>();
    const auto p = problem_of(t, batch);
    const auto plan = nn::plan_layers(p, {.cosine = 1}, {.seed = 2});
    std::vector<double> found(t.parameters.size(), 77);
    EXPECT_NEAR(nn::estimate_layers<double>(p, plan, {.seed = 2}, found), t.loss(t.parameters),
                1e-12);
    const std::vector<double> expected = t.gradient();
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-5) << i;
  }
}

// The model promises cosines: the mean square of the error over seeds is 1 / cosine^2 - 1, for each
// layer, and for all. A good pilot, because the promise is no better than what it knows.
TEST(nn_layer_plan, estimates_are_as_near_as_was_asked) {
  const trial t(convolutions(), 6, nn::norm_mode::train);
  const auto batch = t.batch<double>();
  const auto p = problem_of(t, batch);
  const std::vector<double> gradient = t.gradient();
  const nn::layer_plan plan = nn::plan_layers(p, {.cosine = 0.7, .pilot = 120}, {.seed = 2});
  constexpr int trials = 300;
  std::vector<double> errors(plan.layers.size()), sizes(plan.layers.size());
  for (std::uint64_t seed = 100; seed < 100 + trials; ++seed) {
    std::vector<double> found(gradient.size());
    nn::estimate_layers<double>(p, plan, {.seed = seed}, found);
    for (std::size_t k = 0; k < plan.layers.size(); ++k) {
      const nn::node& n = t.net.nodes()[static_cast<std::size_t>(plan.layers[k].node)];
      const nn::view& v = t.net.parameters()[static_cast<std::size_t>(n.weight)];
      for (index_t i = v.offset; i < v.offset + v.size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        errors[k] += (found[at] - gradient[at]) * (found[at] - gradient[at]) / trials;
        sizes[k] += gradient[at] * gradient[at] / trials;
      }
    }
  }
  double error = 0, size = 0;
  for (std::size_t k = 0; k < errors.size(); ++k) {
    EXPECT_NEAR(std::sqrt(sizes[k] / (sizes[k] + errors[k])), plan.layers[k].cosine, 0.1)
        << plan.layers[k].why;
    const nn::node& n = t.net.nodes()[static_cast<std::size_t>(plan.layers[k].node)];
    if (n.what == nn::operation::batch_norm) continue;
    error += errors[k];
    size += sizes[k];
  }
  EXPECT_NEAR(std::sqrt(size / (size + error)), 0.7, 0.07);
}

TEST(nn_layer_plan, the_cheaper_question_is_chosen_and_said) {
  // 160 inputs of 30 numbers each: few activations, many weights.
  const trial many(nn::mlp({160, 30, 3}), 6, nn::norm_mode::train);
  const auto batch = many.batch<double>();
  const auto plan = nn::plan_layers(problem_of(many, batch), {.cosine = 0.9}, {.seed = 2});
  EXPECT_EQ(choice_of(plan, many, "linear1.weight").about, nn::question::activations);
  EXPECT_TRUE(contains(choice_of(plan, many, "linear1.weight").why, "directions a sample for"))
      << choice_of(plan, many, "linear1.weight").why;
  // 18 weights a channel against images of 64 numbers.
  const trial few(convolutions(), 6, nn::norm_mode::train);
  const auto other = few.batch<double>();
  const auto second = nn::plan_layers(problem_of(few, other), {.cosine = 1}, {.seed = 2});
  EXPECT_EQ(choice_of(second, few, "a.weight").about, nn::question::weights);
  EXPECT_EQ(choice_of(second, few, "c.weight").about, nn::question::activations);
  for (std::size_t k = 1; k < second.layers.size(); ++k) {
    EXPECT_LT(second.layers[k].node, second.layers[k - 1].node);
  }
}

TEST(nn_layer_plan, a_budget_is_kept_and_spent) {
  const trial t(convolutions(), 6, nn::norm_mode::train);
  const auto batch = t.batch<double>();
  const auto p = problem_of(t, batch);
  double before = 0;
  for (const double passes : {12.0, 16.0, 20.0}) {
    const auto plan = nn::plan_layers(p, {.passes = passes}, {.seed = 2});
    EXPECT_LE(plan.passes(), passes);
    EXPECT_GT(plan.passes(), 0.7 * passes);
    const double cosines =
        choice_of(plan, t, "a.weight").cosine + choice_of(plan, t, "b.weight").cosine;
    EXPECT_GT(cosines, before);
    before = cosines;
  }
  EXPECT_TRUE(contains(complaint([&] { nn::plan_layers(p, {.passes = 0.5}, {}); }),
                       "a budget of 0.5 passes does not pay for the batch norms, which need"));
}

TEST(nn_layer_plan, the_same_bits_for_any_number_of_threads) {
  const trial t(convolutions(), 6, nn::norm_mode::train);
  const auto batch = t.batch<double>();
  const auto plan = nn::plan_layers(problem_of(t, batch), {.cosine = 0.5}, {.seed = 2});
  std::vector<double> one(t.parameters.size());
  nn::estimate_layers<double>(problem_of(t, batch), plan, {.seed = 2}, one);
  for (const int threads : {2, 4}) {
    std::vector<double> several(one.size());
    nn::estimate_layers<double>(problem_of(t, batch, threads), plan, {.seed = 2}, several);
    EXPECT_TRUE(same_bits(one, several)) << threads;
  }
}

TEST(nn_layer_plan, bad_options_are_named) {
  const trial t(nn::mlp({4, 3}), 2, nn::norm_mode::train);
  const auto batch = t.batch<double>();
  const auto says = [&](const nn::plan_options& options, const char* text) {
    const std::string found =
        complaint([&] { nn::plan_layers(problem_of(t, batch), options, {}); });
    EXPECT_TRUE(contains(found, text)) << found;
  };
  says({.cosine = 0}, "cosine must be above 0 and at most 1, got 0");
  says({.cosine = 1.5}, "cosine must be above 0 and at most 1, got 1.5");
  says({.passes = -1}, "passes must be above 0, got -1");
  says({.pilot = 0}, "pilot must be at least 1, got 0");
  says({.cosine = not_a_number}, "cosine must be above 0");
  says({.passes = not_a_number}, "passes must be above 0");
  // Plans that somebody wrote by hand.
  const auto refuses = [&](const nn::layer_choice& choice, const char* text) {
    std::vector<double> gradient(t.parameters.size());
    const std::string found = complaint([&] {
      nn::estimate_layers<double>(problem_of(t, batch), {.layers = {choice}}, {}, gradient);
    });
    EXPECT_TRUE(contains(found, text)) << found;
  };
  refuses({.node = -1, .questions = 1}, "value -1, which is not in 0 … 1");
  refuses({.node = 2, .questions = 1}, "value 2, which is not in 0 … 1");
  refuses({.node = 1, .questions = 16}, "the plan asks 16 of 15 parameters of linear1");
  refuses({.node = 0, .questions = 1}, "the plan asks 1 of 0 parameters of input");
  auto spoiled = batch;
  spoiled.inputs[0] = not_a_number;
  EXPECT_TRUE(contains(complaint([&] { nn::plan_layers(problem_of(t, spoiled), {}, {}); }),
                       "the loss of the batch is nan"));
}

}  // namespace
