#include "stage.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "app/hostile.hpp"
#include "common/checkpoint.hpp"
#include "support.hpp"

namespace {

using namespace defense;

struct power_cut {};

// Fits a small network to random targets; `stop_before` throws in the middle of a stage.
void run(const settings& s, std::int64_t stop_before) {
  torch::manual_seed(4);
  torch::nn::Sequential network(torch::nn::Linear(3, 5), torch::nn::BatchNorm1d(5),
                                torch::nn::Linear(5, 2));
  const stage what{"fit",
                   9,
                   0.01,
                   select(s, {"seed", "rate"}),
                   {{"network", network.ptr()}},
                   network->parameters()};
  run_stage(what, s, {}, [&](std::int64_t step) {
    if (step == stop_before) throw power_cut{};
    const auto at = static_cast<std::uint64_t>(step);
    const auto loss =
        (network->forward(normal(1, at, 0, {6, 3})) - normal(2, at, 0, {6, 2})).square().mean();
    loss.backward();
    return step_report{loss.item<double>(), 6};
  });
}

TEST(Stage, ResumedStagesEndWithTheSameBits) {
  const test::scratch_folder folder;
  const settings whole = test::small_settings(folder.path() / "whole");
  settings broken = test::small_settings(folder.path() / "broken");
  run(whole, -1);
  broken.resume = true;
  for (const std::int64_t stop : {1, 3, 4, 8}) {
    EXPECT_THROW(run(broken, stop), power_cut);
  }
  run(broken, -1);
  const auto a = app::load_checkpoint(checkpoint_path(whole, "fit"));
  const auto b = app::load_checkpoint(checkpoint_path(broken, "fit"));
  EXPECT_TRUE(a.tensors == b.tensors);
  EXPECT_EQ(a.metadata.at("queries"), "54");
  EXPECT_EQ(b.metadata.at("queries"), "54");
}

TEST(Stage, OtherSettingsAndDamagedCheckpointsAreRefused) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  run(s, -1);
  s.resume = true;
  s.rate = 0.5;
  EXPECT_THROW(run(s, -1), std::runtime_error);
  s.rate = settings{}.rate;
  EXPECT_NO_THROW(run(s, -1));
  const auto path = checkpoint_path(s, "fit");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_THROW(run(s, -1), std::runtime_error);
}

TEST(Stage, RefusesCheckpointsThatNoRunHasWritten) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  run(s, -1);
  s.resume = true;
  const auto path = checkpoint_path(s, "fit");
  const app::safetensors content = app::load_checkpoint(path);
  int checked = 0;
  app::testing::for_each_alteration(
      content, [&](const std::string& what, const app::safetensors& altered) {
        app::save_checkpoint(path, altered);
        ++checked;
        try {
          run(s, -1);
          ADD_FAILURE() << "accepted " << what;
        } catch (const std::runtime_error& error) {
          EXPECT_EQ(app::testing::complaint_about(error.what()), "") << what;
        }
      });
  EXPECT_GT(checked, 150);
}

TEST(Stage, TheLearningRateWarmsUpAndFallsToZero) {
  EXPECT_LT(learning_rate(1, 0, 1000), 0.05);
  EXPECT_GT(learning_rate(1, 60, 1000), 0.95);
  EXPECT_LT(learning_rate(1, 999, 1000), 1e-5);
}

}  // namespace
