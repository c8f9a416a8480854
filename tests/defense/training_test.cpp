#include "training.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint_tensors.hpp"
#include "support.hpp"

namespace {

using namespace defense;

std::vector<torch::Tensor> weights_after(const method& m, const problem& p, const settings& s) {
  black_box classifier(p.classifier.forward);
  defended front(p, m, s);
  train_defense(front, p, m, classifier, s, {});
  named_tensors all;
  for (const auto& [name, module] : front.modules()) add_module(all, name, *module);
  std::vector<torch::Tensor> values;
  for (const auto& [name, value] : all) values.push_back(value.detach().clone());
  return values;
}

TEST(Training, EveryMethodTrainsTheFrontAndLeavesTheRestAlone) {
  const test::scratch_folder folder;
  const settings s = test::small_settings(folder.path());
  const problem p = test::small_problem(s);
  const torch::Tensor images = p.test.range(0, 8);
  const torch::Tensor before = p.classifier.forward(p.decoder.forward(p.encoder.forward(images)));
  for (const std::string& name : method_names()) {
    const method m = make_method(name, s, 784);
    if (!m.trained) continue;
    black_box classifier(p.classifier.forward);
    defended front(p, m, s);
    const torch::Tensor start = front.shown(images).detach().clone();
    const stage_report report = train_defense(front, p, m, classifier, s, {});
    EXPECT_FALSE(torch::equal(front.shown(images), start)) << name;
    // One query for the answer on the clean image, and those of the estimate.
    EXPECT_EQ(report.queries, s.steps * s.batch * (1 + m.step_queries)) << name;
    EXPECT_EQ(report.queries, classifier.queries()) << name;
  }
  const torch::Tensor after = p.classifier.forward(p.decoder.forward(p.encoder.forward(images)));
  EXPECT_TRUE(torch::equal(before, after));
}

TEST(Training, TheTemperatureDividesTheLogits) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  const problem p = test::small_problem(s);
  const auto loss_at = [&](const std::string& name, double temperature) {
    settings now = s;
    now.steps = 1;
    now.temperature = temperature;
    const method m = make_method(name, now, 784);
    black_box classifier(p.classifier.forward);
    defended front(p, m, now);
    return train_defense(front, p, m, classifier, now, {}).loss;
  };
  for (const double temperature : {1.0, 5.0}) {
    EXPECT_NEAR(loss_at("fo-ae-ds", temperature), loss_at("zo-ae-ds-rge", temperature), 1e-5);
  }
  EXPECT_GT(std::abs(loss_at("fo-ae-ds", 5) - loss_at("fo-ae-ds", 1)), 1e-3);
  EXPECT_NEAR(loss_at("fo-ae-ds", 1e6), std::log(10.0), 1e-4);
}

TEST(Training, CentralCgeFollowsTheExactGradient) {
  const test::scratch_folder folder;
  settings s = test::small_settings(folder.path());
  s.scheme = "central";
  s.steps = 1;
  const problem p = test::small_problem(s);
  const auto derived = weights_after(make_method("fo-ae-ds", s, 784), p, s);
  const auto asked = weights_after(make_method("zo-ae-ds-cge", s, 784), p, s);
  ASSERT_EQ(derived.size(), asked.size());
  // One step of Adam moves every weight by the sign of its gradient: nearly all agree.
  double same = 0;
  double count = 0;
  for (std::size_t i = 0; i < derived.size(); ++i) {
    if (derived[i].scalar_type() != torch::kFloat32) continue;
    same += (derived[i] - asked[i]).abs().lt(1e-4).sum().item<double>();
    count += static_cast<double>(derived[i].numel());
  }
  EXPECT_GT(same / count, 0.95);
}

}  // namespace
