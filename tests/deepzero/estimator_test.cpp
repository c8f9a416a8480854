// Gradients of every estimator against each other and against dense differences in double.
#include "estimator.hpp"

#include <cmath>
#include <numeric>
#include <zo/nn/objective.hpp>

#include "first_order.hpp"
#include "sparsity.hpp"
#include "support.hpp"
#include "training.hpp"

namespace {

using namespace deepzero;
using zo::index_t;
namespace nn = zo::nn;

struct setting {
  settings s = test::small_settings();
  app::image_set images = test::striped_images(64, 1);
  nn::network net;
  std::vector<float> parameters, statistics, gradient;
  minibatch batch = scaled(images, 0, 32);
  app::processes alone;

  explicit setting(const std::string& network)
      : net((s.network = network, s.channels = 4, s.depth = 2, make_network(s, images))),
        parameters(static_cast<std::size_t>(net.parameter_count())),
        statistics(static_cast<std::size_t>(net.statistic_count())),
        gradient(parameters.size()) {
    nn::initialize<float>(net, nn::initialization::kaiming_normal, 5, parameters);
    nn::initialize_statistics<float>(net, statistics);
    // Behind a layer whose units are all off for a sample, biases of 0 would stand on the kink.
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] += 0.01F * float(i % 7);
  }

  answer ask(const std::string& name, std::span<const index_t> counts = {}, std::int64_t step = 0) {
    return (*make_estimator(name, net, counts, 10, s, alone))({parameters, statistics, batch, step},
                                                              gradient);
  }

  // Central differences of whole evaluations, in double.
  std::vector<double> dense() const {
    const nn::minibatch<double> wide{
        {batch.inputs.begin(), batch.inputs.end()}, batch.count, batch.loss};
    const std::vector<double> ones(statistics.begin(), statistics.end());
    const nn::objective<double> f(
        net, [&](zo::sample_id) { return wide; }, std::span<const double>(ones));
    std::vector<double> p(parameters.begin(), parameters.end()), g(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double at = p[i], h = 1e-5;
      p[i] = at + h;
      const double above = f(p, 0);
      p[i] = at - h;
      g[i] = (above - f(p, 0)) / (2 * h);
      p[i] = at;
    }
    return g;
  }

  double cosine(const std::vector<double>& to) const {
    double dot = 0, a = 0, b = 0;
    for (std::size_t i = 0; i < to.size(); ++i) {
      dot += static_cast<double>(gradient[i]) * to[i];
      a += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
      b += to[i] * to[i];
    }
    return dot / std::sqrt(a * b);
  }
};

TEST(estimators, cge_is_the_gradient_at_the_cost_it_says) {
  for (const char* network : {"cnn", "mlp"}) {
    setting t(network);
    t.s.smoothing = 1e-4;
    const std::vector<double> dense = t.dense();
    const answer fast = t.ask("cge");
    EXPECT_GT(t.cosine(dense), 0.9999) << network;
    EXPECT_EQ(fast.queries, t.net.parameter_count() + 1);
    EXPECT_GT(fast.passes, 1);
    EXPECT_LT(fast.passes, 0.5 * static_cast<double>(fast.queries));
    t.s.smoothing = 5e-3;
    const answer whole = t.ask("cge-whole");
    EXPECT_GT(t.cosine(dense), 0.99) << network;
    EXPECT_EQ(whole.queries, t.net.parameter_count() + 2);
    EXPECT_EQ(whole.passes, static_cast<double>(whole.queries));
    EXPECT_NEAR(whole.loss, fast.loss, 1e-5);
  }
}

TEST(estimators, first_order_is_the_gradient) {
  if (!has_first_order()) GTEST_SKIP() << "built without LibTorch";
  for (const char* network : {"cnn", "mlp"}) {
    setting t(network);
    const answer got = t.ask("first-order");
    EXPECT_GT(t.cosine(t.dense()), 0.99999) << network;
    EXPECT_EQ(got.queries, 0);
  }
}

// ResNets have shortcuts of option A, which the others have not.
TEST(estimators, first_order_is_the_gradient_of_a_resnet) {
  if (!has_first_order()) GTEST_SKIP() << "built without LibTorch";
  const nn::network net = nn::resnet(8);
  std::vector<float> p(static_cast<std::size_t>(net.parameter_count()));
  std::vector<float> statistics(static_cast<std::size_t>(net.statistic_count())), g(p.size());
  nn::initialize<float>(net, nn::initialization::kaiming_normal, 5, p);
  nn::initialize_statistics<float>(net, statistics);
  minibatch batch{{}, 4, nn::cross_entropy(std::vector<index_t>{1, 2, 3, 4}, 10)};
  for (int i = 0; i < 4 * 3072; ++i)
    batch.inputs.push_back(static_cast<float>(i * 37 % 101) / 50 - 1);
  (*make_first_order(net, test::small_settings()))({p, statistics, batch, 0}, g);
  nn::objective<float> f(
      net, [&](zo::sample_id) { return batch; }, std::span<const float>(statistics));
  std::vector<index_t> some;
  for (const nn::view& v : net.parameters()) some.push_back(v.offset + v.size / 2);
  std::vector<float> estimate(p.size());
  zo::estimate(zo::seq, f, p, estimate,
               zo::cge({.smoothing = 1e-4, .coordinates = zo::coordinate_list{some}}));
  double dot = 0, a = 0, b = 0;
  for (const index_t i : some) {
    const double x = g[static_cast<std::size_t>(i)], y = estimate[static_cast<std::size_t>(i)];
    dot += x * y;
    a += x * x;
    b += y * y;
  }
  EXPECT_GT(dot / std::sqrt(a * b), 0.999);
  EXPECT_NEAR(a / b, 1, 0.02);
}

TEST(estimators, sparse_cge_asks_its_set_and_nothing_else) {
  setting t("cnn");
  t.s.interval = 0.2;  // 2 of 10 steps
  std::vector<index_t> counts;
  for (const nn::view& v : t.net.parameters()) counts.push_back(is_prunable(v) ? 3 : v.size);
  t.ask("cge");
  const std::vector<float> all = t.gradient;
  const auto support = [&](std::int64_t step) {
    t.ask("sparse-cge", counts, step);
    std::vector<index_t> found(counts.size());
    std::vector<std::size_t> where;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (t.gradient[i] == 0) continue;
      EXPECT_EQ(t.gradient[i], all[i]);
      where.push_back(i);
      ++found[static_cast<std::size_t>(&t.net.parameter_of(static_cast<index_t>(i)) -
                                       t.net.parameters().data())];
    }
    // A coordinate that was asked may have no slope; the bias before a batch norm has none.
    for (std::size_t k = 0; k < counts.size(); ++k) EXPECT_LE(found[k], counts[k]);
    EXPECT_EQ(found[0], 3);
    return where;
  };
  EXPECT_EQ(support(0), support(1));
  EXPECT_NE(support(0), support(2));
  EXPECT_EQ(support(2), support(3));
}

TEST(estimators, cge_by_block_is_the_gradient_at_the_cost_it_says) {
  for (const char* network : {"cnn", "mlp"}) {
    setting t(network);
    t.s.smoothing = 1e-4;
    const answer got = t.ask("cge-by-block");
    EXPECT_GT(t.cosine(t.dense()), 0.9999) << network;
    EXPECT_GT(got.queries, t.net.parameter_count() + 1);
    EXPECT_GT(got.passes, 1);
  }
}

// The estimate has variance (1 + (d + 1) / q) |g|^2; its mean over many directions is the gradient.
TEST(estimators, rge_is_an_estimate_of_the_gradient) {
  setting t("mlp");
  t.s.channels = 2;
  t.s.directions = 4000;
  const answer got = t.ask("rge");
  const double expected =
      1 / std::sqrt(1 + static_cast<double>(t.net.parameter_count() + 1) / 4000);
  EXPECT_NEAR(t.cosine(t.dense()), expected, 0.03);
  EXPECT_EQ(got.queries, 4002);
}

// As many directions as activations are every activation, by itself.
TEST(estimators, activations_asked_one_by_one_are_the_gradient) {
  for (const char* network : {"cnn", "mlp"}) {
    setting t(network);
    t.s.smoothing = 1e-4;
    t.s.directions = 1000000;
    const answer got = t.ask("activations");
    EXPECT_GT(t.cosine(t.dense()), 0.999) << network;
    EXPECT_GT(got.queries, 3);
    EXPECT_LT(got.passes, static_cast<double>(got.queries));
    t.s.directions = 2;
    t.ask("activations");
    EXPECT_LT(t.cosine(t.dense()), 0.99) << network;
  }
}

TEST(estimators, are_the_same_bits_for_any_number_of_threads) {
  for (const char* name : {"cge", "cge-by-block", "rge", "cge-whole", "activations"}) {
    setting t("cnn");
    t.s.directions = 5;
    t.ask(name);
    const std::vector<float> one = t.gradient;
    t.s.threads = 3;
    t.ask(name);
    EXPECT_EQ(one, t.gradient) << name;
  }
}

TEST(estimators, a_loss_that_is_no_number_is_refused_by_its_step) {
  for (const std::string& name : estimator_names()) {
    if (name == "first-order" && !has_first_order()) continue;
    setting t("mlp");
    t.parameters.back() = NAN;
    const std::vector<index_t> all = {1, 1, 1, 1};
    try {
      t.ask(name, all, 6);
      ADD_FAILURE() << name;
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("step 6"), std::string::npos) << error.what();
    }
  }
}

// On the emulator of CUDA.
TEST(estimators, a_gpu_gives_the_gradient_of_the_cpu) {
  for (const char* network : {"cnn", "mlp"}) {
    setting t(network);
    const std::vector<index_t> counts(t.net.parameters().size(), 2);
    for (const char* name : {"cge", "sparse-cge"}) {
      t.s.device = "cpu";
      const answer here = t.ask(name, counts, 3);
      const std::vector<double> wanted(t.gradient.begin(), t.gradient.end());
      t.s.device = "cuda";
      const answer there = t.ask(name, counts, 3);
      EXPECT_GT(t.cosine(wanted), 0.999999) << network << " " << name;
      EXPECT_NEAR(there.loss, here.loss, 1e-5 * here.loss);
      EXPECT_EQ(there.queries, here.queries);
      EXPECT_EQ(there.passes, here.passes);
    }
  }
}

TEST(estimators, running_statistics_follow_on_a_gpu_too) {
  setting t("cnn");
  std::vector<std::vector<float>> running(2, t.statistics);
  for (const bool device : {false, true}) {
    t.s.device = device ? "cuda" : "cpu";
    const auto ask = make_estimator("cge", t.net, {}, 10, t.s, t.alone);
    (*ask)({t.parameters, t.statistics, t.batch, 0}, t.gradient);
    ask->update_statistics(running[device ? 1 : 0]);
  }
  for (std::size_t i = 0; i < t.statistics.size(); ++i) {
    EXPECT_NEAR(running[1][i], running[0][i], 1e-5F);
  }
  EXPECT_NE(running[1], t.statistics);
}

TEST(estimators, say_which_option_is_to_blame) {
  const settings s = test::small_settings();
  const auto said = [&](double loss) {
    try {
      refuse_estimate(3, loss, s);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(said(NAN), "the loss of step 3 is not a number; give a lower --rate or --weight-decay");
  EXPECT_NE(said(2.5).find("give a --mu nearer to 0.005"), std::string::npos) << said(2.5);
}

// By it, processes notice that one of them is at another step.
TEST(estimators, say_where_in_the_run_they_are) {
  const settings s = test::small_settings();
  const problem p = test::striped_problem();
  const minibatch batch = scaled(p.train, 0, 2);
  EXPECT_EQ(place_of({{}, {}, batch, 7}, s).step, 7U);
}

}  // namespace
