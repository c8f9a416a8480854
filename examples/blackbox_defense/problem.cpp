#include "problem.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "common/fashion_mnist.hpp"
#include "common/resume.hpp"
#include "networks.hpp"
#include "randomness.hpp"
#include "remote_classifier.hpp"
#include "stage.hpp"

namespace defense {

namespace {

constexpr std::int64_t pretraining_batch = 128;
constexpr double pretraining_rate = 3e-3;

// Every second batch is mirrored: clothes have no left and right, shoes face both ways.
torch::Tensor mirrored(const torch::Tensor& images, std::int64_t step) {
  return step % 2 == 1 ? images.flip(3) : images;
}

void train_classifier(problem& p, const settings& s, const app::processes& all) {
  const std::uint64_t seed = app::seed_for(s.seed, "classifier");
  const stage training{"classifier",
                       s.classifier_steps,
                       pretraining_rate,
                       select(s, classifier_options(s)),
                       {{"classifier", p.classifier.module}},
                       p.classifier.module->parameters()};
  p.classifier.module->train();
  run_stage(training, s, all, [&](std::int64_t step) {
    const auto rows =
        random_rows(seed, static_cast<std::uint64_t>(step), pretraining_batch, p.train.count())
            .to(p.train.pixels.device());
    const auto images = mirrored(p.train.batch(rows), step);
    const auto loss = torch::nn::functional::cross_entropy(p.classifier.forward(images),
                                                           p.train.labels.index_select(0, rows));
    loss.backward();
    return step_report{loss.item<double>(), 0};
  });
  freeze(*p.classifier.module);
}

void train_autoencoder(problem& p, const settings& s, const app::processes& all) {
  const std::uint64_t seed = app::seed_for(s.seed, "autoencoder");
  std::vector<torch::Tensor> trained = p.encoder.module->parameters();
  for (const auto& parameter : p.decoder.module->parameters()) trained.push_back(parameter);
  const stage training{"autoencoder",
                       s.autoencoder_steps,
                       pretraining_rate,
                       select(s, autoencoder_options()),
                       {{"encoder", p.encoder.module}, {"decoder", p.decoder.module}},
                       trained};
  const stage_report report = run_stage(training, s, all, [&](std::int64_t step) {
    const auto rows =
        random_rows(seed, static_cast<std::uint64_t>(step), pretraining_batch, p.train.count())
            .to(p.train.pixels.device());
    const auto images = mirrored(p.train.batch(rows), step);
    const auto loss = torch::mse_loss(p.decoder.forward(p.encoder.forward(images)), images);
    loss.backward();
    return step_report{loss.item<double>(), 0};
  });
  p.autoencoder_error = report.loss;
  freeze(*p.decoder.module);
  freeze(*p.encoder.module);
}

}  // namespace

torch::Tensor image_tensors::batch(const torch::Tensor& rows) const {
  return pixels.index_select(0, rows).to(torch::kFloat32).div_(255);
}

torch::Tensor image_tensors::range(std::int64_t first, std::int64_t last) const {
  return pixels.slice(0, first, last).to(torch::kFloat32).div_(255);
}

image_tensors to_tensors(const app::image_set& images, torch::Device device) {
  // from_blob does not own the bytes; clone() makes a copy that lives as long as the tensor.
  const auto bytes = [](const std::vector<std::uint8_t>& values, at::IntArrayRef shape) {
    return torch::from_blob(const_cast<std::uint8_t*>(values.data()), shape, torch::kUInt8).clone();
  };
  return {
      bytes(images.pixels, {images.count, images.channels, images.rows, images.columns}).to(device),
      bytes(images.labels, {images.count}).to(device, torch::kInt64)};
}

std::vector<std::string> classifier_options(const settings& s) {
  std::vector<std::string> names = {"dataset", "seed", "device", "threads"};
  if (!s.classifier.empty()) {
    names.emplace_back("classifier");
  } else if (s.dataset == "fashion-mnist") {
    names.emplace_back("classifier-steps");
  }
  return names;
}

const std::vector<std::string>& autoencoder_options() {
  static const std::vector<std::string> names = {"dataset", "seed",   "device",
                                                 "threads", "latent", "autoencoder-steps"};
  return names;
}

problem load_problem(const settings& s) {
  if (s.dataset == "cifar10") return load_cifar10_problem(s);
  const torch::Device device(s.device);
  problem p;
  p.train = to_tensors(app::load_fashion_mnist(app::split::train, s.data), device);
  p.test = to_tensors(app::load_fashion_mnist(app::split::test, s.data), device);
  torch::manual_seed(app::seed_for(s.seed, "weights of the classifier"));
  p.classifier =
      s.classifier.empty() ? network_of(make_classifier()) : network{nullptr, remote_classifier(s)};
  torch::manual_seed(app::seed_for(s.seed, "weights of the autoencoder"));
  p.make_encoder = [latent = s.latent] { return network_of(make_encoder(latent)); };
  p.encoder = p.make_encoder();
  p.decoder = network_of(make_decoder(s.latent));
  for (const network* net : {&p.classifier, &p.encoder, &p.decoder}) {
    if (net->module != nullptr) net->module->to(device);
  }
  return p;
}

void train_networks(problem& p, const settings& s, const app::processes& all) {
  if (s.dataset == "cifar10") return;
  if (s.classifier.empty()) train_classifier(p, s, all);
  train_autoencoder(p, s, all);
}

network copy_of_encoder(const problem& p, torch::Device device) {
  const torch::NoGradGuard no_gradient;
  network copy = p.make_encoder();
  copy.module->to(device);
  const auto values = p.encoder.module->parameters();
  auto parameters = copy.module->parameters();
  for (std::size_t i = 0; i < values.size(); ++i) {
    parameters[i].copy_(values[i]);
    parameters[i].set_requires_grad(true);
  }
  return copy;
}

double accuracy(const std::function<torch::Tensor(const torch::Tensor&)>& classify,
                const image_tensors& images, double noise, std::uint64_t seed,
                const app::processes& all) {
  const torch::NoGradGuard no_gradient;
  constexpr std::int64_t at_once = 200;
  const auto right_of = [&](std::int64_t first) {
    const std::int64_t last = std::min(first + at_once, images.count());
    torch::Tensor batch = images.range(first, last);
    if (noise > 0) {
      const auto draws = normal(app::seed_for(seed, "accuracy under noise"),
                                static_cast<std::uint64_t>(first), 0, batch.sizes());
      batch = batch + noise * draws.to(batch.device());
    }
    return (classify(batch) == images.labels.slice(0, first, last)).sum().item<double>();
  };
  std::vector<double> right(static_cast<std::size_t>((images.count() + at_once - 1) / at_once));
  all.share(right, 1, [&](zo::index_t batch, std::span<double> mine) {
    for (double& one : mine) one = right_of(at_once * batch++);
  });
  return std::accumulate(right.begin(), right.end(), 0.0) / static_cast<double>(images.count());
}

}  // namespace defense
