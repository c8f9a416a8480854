#include "problem.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "../blackbox_defense/networks.hpp"
#include "../blackbox_defense/randomness.hpp"
#include "../blackbox_defense/stage.hpp"
#include "common/fashion_mnist.hpp"
#include "common/resume.hpp"

namespace reconstruction {

namespace {

constexpr std::int64_t side = 28;
constexpr std::int64_t pixels = side * side;
constexpr std::int64_t images_a_step = 128;
constexpr double rate = 3e-3;
constexpr std::int64_t bottleneck = 64;  // of the reconstructor

// As in the paper a convolutional autoencoder: what it keeps of a measured image makes the image.
defense::network make_reconstructor() {
  torch::nn::Sequential encoder = defense::make_encoder(bottleneck);
  torch::nn::Sequential decoder = defense::make_decoder(bottleneck);
  torch::nn::Sequential whole;
  for (const auto& half : {encoder, decoder}) {
    for (const auto& layer : *half) whole->push_back(layer);
  }
  whole->push_back(torch::nn::Flatten());
  return defense::network_of(whole);
}

// One stage: mean squared error of `answer` to measured images.
double train_on_measured(const problem& p, const settings& s, const app::processes& all,
                         defense::stage what, bool original,
                         const std::function<torch::Tensor(const torch::Tensor&)>& answer) {
  const std::uint64_t seed = app::seed_for(s.common.seed, what.name);
  for (const auto& [name, module] : what.modules) {
    for (const auto& parameter : module->parameters()) what.trained.push_back(parameter);
  }
  const auto report = defense::run_stage(what, s.common, all, [&](std::int64_t step) {
    const auto rows = defense::random_rows(seed, static_cast<std::uint64_t>(step), images_a_step,
                                           p.base.train.count());
    torch::Tensor images = p.base.train.batch(rows);
    if (step % 2 == 1) images = images.flip(3);  // clothes have no left and right
    const auto measured = p.measured(images);
    const auto loss =
        torch::mse_loss(answer(measured).flatten(1), (original ? images : measured).flatten(1));
    loss.backward();
    return defense::step_report{loss.item<double>(), 0};
  });
  for (const auto& [name, module] : what.modules) defense::freeze(*module);
  return report.loss;
}

}  // namespace

measurement::measurement(std::int64_t count, std::uint64_t seed) {
  const auto numbers = defense::normal(app::seed_for(seed, "measurement"), 0, 0, {pixels, count});
  const torch::Tensor a = numbers.to(torch::kFloat64) / std::sqrt(static_cast<double>(count));
  weights_ = a.matmul(a.t()).to(torch::kFloat32).view({pixels, pixels, 1, 1});
}

void measurement::scale_to(const defense::image_tensors& images) {
  constexpr std::int64_t at_once = 1000;
  double least = std::numeric_limits<double>::infinity();
  double largest = -least;
  least_ = 0;
  largest_ = 1;
  for (std::int64_t first = 0; first < images.count(); first += at_once) {
    const auto some = (*this)(images.range(first, std::min(first + at_once, images.count())));
    least = std::min(least, some.min().item<double>());
    largest = std::max(largest, some.max().item<double>());
  }
  least_ = least;
  largest_ = largest;
}

torch::Tensor measurement::operator()(const torch::Tensor& images) const {
  const torch::Tensor back =
      torch::conv2d(images.reshape({-1, pixels, 1, 1}), weights_).view(images.sizes());
  return (back - least_) / (largest_ - least_);
}

problem load_problem(const settings& s) {
  const auto load = [&](app::split which) {
    return defense::to_tensors(app::load_fashion_mnist(which, s.common.data), torch::kCPU);
  };
  problem p{{}, measurement(s.measurements, s.common.seed)};
  p.base.train = load(app::split::train);
  p.base.test = load(app::split::test);
  p.measured.scale_to(p.base.train);
  torch::manual_seed(app::seed_for(s.common.seed, "weights of the reconstructor"));
  p.base.classifier = make_reconstructor();
  torch::manual_seed(app::seed_for(s.common.seed, "weights of the autoencoder"));
  p.base.make_encoder = [latent = s.common.latent] {
    return defense::network_of(defense::make_encoder(latent));
  };
  p.base.encoder = p.base.make_encoder();
  p.base.decoder = defense::network_of(defense::make_decoder(s.common.latent));
  return p;
}

void train_networks(problem& p, const settings& s, const app::processes& all) {
  defense::problem& base = p.base;
  p.reconstructor_error = train_on_measured(p, s, all,
                                            {"reconstructor",
                                             s.reconstructor_steps,
                                             rate,
                                             reconstructor_options(s),
                                             {{"reconstructor", base.classifier.module}},
                                             {}},
                                            true, base.classifier.forward);
  base.autoencoder_error =
      train_on_measured(p, s, all,
                        {"autoencoder",
                         s.common.autoencoder_steps,
                         rate,
                         autoencoder_options(s),
                         {{"encoder", base.encoder.module}, {"decoder", base.decoder.module}},
                         {}},
                        false, [&](const torch::Tensor& measured) {
                          return base.decoder.forward(base.encoder.forward(measured));
                        });
}

}  // namespace reconstruction
