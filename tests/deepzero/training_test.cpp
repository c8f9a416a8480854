// The recipe, and whole runs on small problems.
#include "training.hpp"

#include <cmath>
#include <numbers>
#include <zo/zo.hpp>

#include "app/hostile.hpp"
#include "common/checkpoint.hpp"
#include "first_order.hpp"
#include "support.hpp"

namespace {

using namespace deepzero;
using zo::index_t;

TEST(recipe, warms_up_linearly_then_follows_a_cosine) {
  settings s = test::small_settings();
  s.epochs = 10;
  s.warmup = 2;
  s.rate = 0.4;
  const zo::nn::network net = zo::nn::mlp({4, 3, 10});
  const zo::sgd rule = recipe("cge", net, 50, s);
  EXPECT_NEAR(rule.rate(0), 0.4 / 100, 1e-15);
  EXPECT_NEAR(rule.rate(49), 0.2, 1e-15);
  EXPECT_NEAR(rule.rate(99), 0.4, 1e-15);
  for (const std::uint64_t step : {100U, 217U, 300U, 499U}) {
    const double t = (static_cast<double>(step) - 100) / 400;
    EXPECT_NEAR(rule.rate(step), 0.2 * (1 + std::cos(std::numbers::pi * t)), 1e-12);
  }
  EXPECT_NEAR(rule.rate(500), 0, 1e-15);
  const auto d = static_cast<double>(net.parameter_count());
  s.directions = 32;
  EXPECT_NEAR(recipe("rge", net, 50, s).rate(99), 0.4 * 32 / (32 + d + 1), 1e-15);
  s.directions.reset();
  EXPECT_NEAR(recipe("rge", net, 50, s).rate(99), 0.4 * d / (2 * d + 1), 1e-15);
}

// v = 0.9 v + g + 0.01 x; x -= rate v, in numbers.
TEST(recipe, has_momentum_and_weight_decay) {
  settings s = test::small_settings();
  s.epochs = 1;
  s.warmup = 0;
  s.rate = 0.1;
  s.weight_decay = 0.01;
  const zo::nn::network net = zo::nn::mlp({1, 1});
  auto optimizer = recipe("cge", net, 3, s).start<double>(2);
  std::vector<double> x = {1, -2};
  const std::vector<double> g = {0.5, 0.25};
  std::vector<double> expected = x, v = {0, 0};
  for (int step = 0; step < 3; ++step) {
    const double rate = 0.05 * (1 + std::cos(std::numbers::pi * step / 3));
    for (std::size_t i = 0; i < 2; ++i) {
      v[i] = 0.9 * v[i] + g[i] + 0.01 * expected[i];
      expected[i] -= rate * v[i];
    }
    optimizer.step(zo::seq, std::span<double>(x), std::span<const double>(g));
  }
  EXPECT_NEAR(x[0], expected[0], 1e-14);
  EXPECT_NEAR(x[1], expected[1], 1e-14);
}

TEST(training, every_estimator_learns) {
  const problem p = test::striped_problem();
  for (const std::string& name : estimator_names()) {
    if (name == "first-order" && !has_first_order()) continue;
    const test::scratch_folder folder;
    settings s = test::small_settings();
    s.sparsity = 0.5;
    s.directions = 200;
    const training_report r = train(p, name, s, folder.path(), name, {});
    ASSERT_EQ(r.curve.size(), 9) << name;  // before the first step, then 2 of each of 4 epochs
    EXPECT_TRUE(std::isnan(r.curve.front().loss));
    EXPECT_LT(r.last().loss, 0.7 * r.curve[1].loss) << name;
    EXPECT_GT(r.last().accuracy, 0.5) << name;
    EXPECT_EQ(r.last().step, 40);
    EXPECT_EQ(r.counts.empty(), name != "sparse-cge");
  }
}

// All estimators of the full gradient make nearly the same run: same weights, same batches.
TEST(training, cge_makes_the_run_of_first_order_training) {
  if (!has_first_order()) GTEST_SKIP() << "built without LibTorch";
  const problem p = test::striped_problem();
  settings s = test::small_settings();
  s.smoothing = 1e-4;
  const test::scratch_folder folder;
  const auto exact = train(p, "first-order", s, folder.path(), "", {});
  const auto asked = train(p, "cge", s, folder.path(), "", {});
  for (std::size_t k = 1; k < exact.curve.size(); ++k) {
    EXPECT_NEAR(exact.curve[k].loss, asked.curve[k].loss, 0.02);
  }
  EXPECT_NEAR(exact.last().accuracy, asked.last().accuracy, 0.05);
}

TEST(training, goes_on_from_a_checkpoint_and_refuses_another_one) {
  const problem p = test::striped_problem();
  const test::scratch_folder folder;
  settings s = test::small_settings();
  s.network = "cnn";
  const auto whole = train(p, "sparse-cge", s, folder.path(), "", {});
  const auto path = folder.path() / "sparse-cge.safetensors";
  const app::safetensors end = app::load_checkpoint(path);
  EXPECT_NE(end.find("conv0.weight"), nullptr);
  EXPECT_NE(end.find("bn0.running_mean"), nullptr);
  s.resume = true;
  const auto again = train(p, "sparse-cge", s, folder.path(), "", {});
  EXPECT_EQ(again.last().accuracy, whole.last().accuracy);
  EXPECT_EQ(again.last().queries, whole.last().queries);
  EXPECT_EQ(again.counts, whole.counts);
  EXPECT_EQ(again.curve.size(), whole.curve.size());
  s.sparsity = 0.8;
  EXPECT_THROW(train(p, "sparse-cge", s, folder.path(), "", {}), std::runtime_error);
  EXPECT_EQ(app::load_checkpoint(path).tensors, end.tensors);
}

TEST(training, refuses_checkpoints_that_no_run_has_written) {
  const problem p = test::striped_problem();
  settings s = test::small_settings();
  s.epochs = 1;
  for (const std::string name : {"cge", "sparse-cge"}) {
    const test::scratch_folder folder;
    s.resume = false;
    train(p, name, s, folder.path(), "", {});
    s.resume = true;
    const auto path = folder.path() / (name + ".safetensors");
    const app::safetensors content = app::load_checkpoint(path);
    int checked = 0;
    app::testing::for_each_alteration(
        content, [&](const std::string& what, const app::safetensors& altered) {
          app::save_checkpoint(path, altered);
          ++checked;
          try {
            train(p, name, s, folder.path(), "", {});
            ADD_FAILURE() << name << ": accepted " << what;
          } catch (const std::runtime_error& error) {
            EXPECT_EQ(app::testing::complaint_about(error.what()), "") << what;
          }
        });
    EXPECT_GT(checked, 500);
    app::safetensors counts = content;
    for (app::tensor& t : counts.tensors) {
      if (t.name != "coordinates") continue;
      for (const std::int64_t count : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40}) {
        t = app::make_tensor<std::int64_t>("coordinates", t.shape,
                                           std::vector<std::int64_t>(t.bytes.size() / 8, count));
        app::save_checkpoint(path, counts);
        if (name == "sparse-cge") {
          EXPECT_THROW(train(p, name, s, folder.path(), "", {}), app::cannot_resume) << count;
        }
      }
      t = app::make_tensor<std::int64_t>("coordinates", {10'000},
                                         std::vector<std::int64_t>(10'000, 1));
      app::save_checkpoint(path, counts);
      EXPECT_THROW(train(p, name, s, folder.path(), "", {}), app::cannot_resume);
    }
  }
}

TEST(make_network, refuses_what_it_does_not_know) {
  settings s = test::small_settings();
  const app::image_set images = test::striped_images(1, 1);
  for (const char* name : {"resnet20", "resnet", "resnetx", "vgg", ""}) {
    s.network = name;
    EXPECT_THROW(make_network(s, images), std::runtime_error) << name;
  }
}

}  // namespace
