// Gradients of a denoiser's weights by queries, against back-propagation; and what queries cost.
#include "denoiser/queried.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>
#include <zo/nn/weights.hpp>
#include <zo/zo.hpp>

#include "blackbox_defense/networks.hpp"
#include "deepzero/sparsity.hpp"
#include "defense/support.hpp"
#include "denoiser/settings.hpp"
#include "denoiser/training.hpp"

namespace denoiser {
namespace {

using zo::index_t;

// A denoiser, a classifier and a batch in double, and the gradient of the loss by LibTorch.
struct white_box {
  static constexpr index_t images = 3, side = 10;

  white_box() : net(dncnn_network({1, side, side}, 4, 3)) {
    torch::manual_seed(5);
    classifier = defense::make_classifier();
    classifier->to(torch::kFloat64);
    defense::freeze(*classifier);
    module = defense::dncnn(1, 4, 3);
    module->to(torch::kFloat64);
    const torch::NoGradGuard no_gradient;
    for (auto& p : module->parameters()) p.add_(0.1 * torch::randn_like(p));  // no zeros
    noisy = torch::rand({images, 1, side, side}, torch::kFloat64);
    std::vector<zo::nn::named_values<double>> tensors;
    for (const auto& item : module->named_parameters()) {
      tensors.push_back(
          {item.key(),
           item.value().sizes().vec(),
           {item.value().data_ptr<double>(), static_cast<std::size_t>(item.value().numel())}});
    }
    for (const auto& item : module->named_buffers()) {
      if (item.key().ends_with("num_batches_tracked")) continue;
      tensors.push_back(
          {item.key(),
           item.value().sizes().vec(),
           {item.value().data_ptr<double>(), static_cast<std::size_t>(item.value().numel())}});
    }
    parameters.resize(static_cast<std::size_t>(net.parameter_count()));
    statistics.resize(static_cast<std::size_t>(net.statistic_count()));
    zo::nn::load<double>(net, tensors, "", parameters, statistics);
    const auto* const first = noisy.data_ptr<double>();
    batch = {{1, side, side}, {first, first + noisy.numel()}, {2, 7, 1}};
  }

  std::vector<double> back_propagated() {
    const torch::Tensor targets = torch::tensor({2, 7, 1}, torch::kInt64);
    loss =
        torch::nn::functional::cross_entropy(classifier->forward(module->forward(noisy)), targets);
    loss.backward();
    std::vector<double> gradient(parameters.size());
    for (const zo::nn::view& v : net.parameters()) {
      const torch::Tensor part = module->named_parameters()[v.name].grad().contiguous();
      std::copy_n(part.data_ptr<double>(), v.size, gradient.begin() + v.offset);
    }
    return gradient;
  }

  defense::black_box asked() {
    return defense::black_box([this](const torch::Tensor& x) { return classifier->forward(x); });
  }

  zo::nn::network net;
  torch::nn::Sequential classifier;
  defense::dncnn module{nullptr};
  torch::Tensor noisy, loss;
  std::vector<double> parameters, statistics;
  noisy_batch<double> batch;
};

double norm_of(std::span<const double> values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

TEST(QueriedDenoiser, SparseCgeOfWeightsIsTheGradientOfBackPropagation) {
  white_box w;
  const std::vector<double> exact = w.back_propagated();
  const auto some = deepzero::coordinate_set(w.net, counts_of(w.net, exact, 60), 3, 0);
  defense::black_box classifier = w.asked();
  classifier_losses<double> losses(w.batch, classifier);
  weights_objective<double> objective(w.net, losses, w.statistics, 4);
  std::vector<double> found(exact.size(), 0);
  const zo::cge<zo::central> how({.smoothing = 1e-5, .coordinates = zo::coordinate_list{some}},
                                 zo::central{});
  const auto result =
      zo::estimate(zo::par.with_threads(2), objective, std::span<const double>(w.parameters),
                   std::span<double>(found), how, {});
  ASSERT_TRUE(result.ok);
  EXPECT_NEAR(result.value, w.loss.item<double>(), 1e-12);
  EXPECT_EQ(classifier.queries(), (1 + 2 * 60) * white_box::images);
  double missed = 0;
  for (const index_t i : some) {
    const auto at = static_cast<std::size_t>(i);
    missed = std::max(missed, std::abs(found[at] - exact[at]));
    found[at] = 0;
  }
  EXPECT_LT(missed, 1e-8 * norm_of(exact));
  EXPECT_EQ(norm_of(found), 0);  // coordinates that were not asked
}

TEST(QueriedDenoiser, ActivationsAskedInFullGiveTheGradientOfBackPropagation) {
  white_box w;
  const std::vector<double> exact = w.back_propagated();
  defense::black_box classifier = w.asked();
  classifier_losses<double> losses(w.batch, classifier);
  const deepzero::activation_estimator<double> ask(
      zo::par.with_threads(2), w.net, w.batch.noisy, white_box::images,
      std::make_unique<activation_losses<double>>(losses), w.parameters, w.statistics,
      zo::nn::norm_mode::train);
  EXPECT_NEAR(ask.value(), w.loss.item<double>(), 1e-12);
  std::vector<double> found(exact.size(), 0);
  index_t questions = white_box::images;
  for (auto layer = static_cast<index_t>(w.net.nodes().size()) - 1; layer > 0; --layer) {
    if (w.net.nodes()[static_cast<std::size_t>(layer)].weight < 0) continue;
    questions += ask.estimate(layer, {.directions = 1'000'000, .smoothing = 1e-6}, {4, 0},
                              std::span<double>(found))
                     .questions;
  }
  EXPECT_GE(classifier.queries(),
            questions);  // samples of fewer active numbers wait for the others
  for (std::size_t i = 0; i < exact.size(); ++i) found[i] -= exact[i];
  EXPECT_LT(norm_of(found), 1e-5 * norm_of(exact));
}

TEST(QueriedDenoiser, CoordinatesAndQuestionsAddUp) {
  const zo::nn::network net = dncnn_network({1, 10, 10}, 4, 3);
  std::vector<double> scores(static_cast<std::size_t>(net.parameter_count()));
  std::iota(scores.begin(), scores.end(), 0.0);  // the first layer is the most important
  const auto counts = counts_of(net, scores, 40);
  EXPECT_EQ(std::reduce(counts.begin(), counts.end()), 40);
  EXPECT_EQ(*std::ranges::min_element(counts), 1);
  EXPECT_EQ(std::ranges::max_element(counts), counts.begin());
  EXPECT_THROW(counts_of(net, scores, 8), std::invalid_argument);
  const auto shares = questions_by_layer(net, 40);
  EXPECT_EQ(std::reduce(shares.begin(), shares.end()), 40);
  EXPECT_THROW(questions_by_layer(net, 5), std::invalid_argument);
  EXPECT_THROW(questions_by_layer(net, 1 << 20), std::invalid_argument);
}

// Every method of queries asks the classifier about as many images a step.
TEST(Denoiser, MethodsAskTheSameNumberOfQueries) {
  defense::test::scratch_folder folder;
  app::processes all;
  settings s;
  s.base = defense::test::small_settings(folder.path());
  s.base.latent = s.q = 16;
  s.start = "identity";
  const task t{defense::test::small_problem(s.base), {}};
  for (const std::string& method : method_names()) {
    defense::black_box classifier(t.problem.classifier.forward);
    front trained(t, method, s, 1);
    trained.networks().train(true);
    stepper step(t, method, trained, classifier, s, 1, all);
    torch::Tensor counts =
        torch::ones({static_cast<std::int64_t>(trained.net().parameters().size())}, torch::kInt64);
    counts[0] += s.q - counts.size(0);
    const auto report = step(0, counts);
    const std::int64_t targets = s.base.batch;
    EXPECT_EQ(report.queries, targets + (asks(method) ? s.base.batch * (1 + s.q) : 0)) << method;
    EXPECT_TRUE(std::isfinite(report.loss)) << method;
    double moved = 0;
    for (const auto& p : trained.denoiser().parameters()) {
      if (p.grad().defined()) moved += p.grad().abs().sum().item<double>();
    }
    EXPECT_GT(moved, 0) << method;
  }
}

// The denoiser that certifies is the one that was trained.
TEST(Denoiser, RunsAsTheModuleDoes) {
  defense::test::scratch_folder folder;
  settings s;
  s.base = defense::test::small_settings(folder.path());
  const task t{defense::test::small_problem(s.base), {}};
  front trained(t, "zo-ae-ds", s, 1);
  const torch::NoGradGuard no_gradient;
  for (auto& p : trained.denoiser().parameters()) p.add_(0.1 * torch::randn_like(p));
  trained.networks().train(false);
  const torch::Tensor noisy = torch::rand({5, 1, 28, 28});
  EXPECT_LT((trained.shown(noisy) - trained.networks().shown(noisy)).abs().max().item<double>(),
            1e-4);
}

}  // namespace
}  // namespace denoiser
