#include "settings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <stdexcept>

#include "common/command_line.hpp"

namespace defense {

namespace {

// Sizes that let two cores finish in minutes. A query of the CIFAR-10 classifier costs far more
// than one of the Fashion-MNIST classifier, so there many images are asked a few queries each. That
// suits RGE, whose directions differ from image to image: their errors average out over the batch,
// those of the coordinates that CGE draws once for all images do not. The lower rate keeps what
// error remains from spoiling the trained encoder. The temperature: seen through its autoencoder
// that classifier is confident and wrong, and at temperature 1 the cross entropy first teaches the
// defense to flatten all answers.
settings defaults_for(const std::string& dataset) {
  settings defaults;
  defaults.dataset = dataset;
  if (dataset == "cifar10") {
    defaults.methods = {"zo-ae-ds-rge"};
    defaults.latent = 192;
    defaults.batch = 256;
    defaults.steps = 350;
    defaults.rate = 5e-4;
    defaults.temperature = 5;
    defaults.directions = 8;
    defaults.coordinates = 8;
    defaults.images = 50;
    defaults.n = 500;
    defaults.checkpoint_every = 10;
  }
  return defaults;
}

using app::at_least_one;
using app::not_negative;
using app::positive;

void add_run_options(CLI::App& app, settings& s) {
  app.add_option("--dataset", s.dataset, "fashion-mnist, or cifar10 when --data holds it")
      ->check(CLI::IsMember({"fashion-mnist", "cifar10"}));
  app.add_option("--data", s.data,
                 "Folder of the data set; for CIFAR-10 one with cifar10/, classifiers/, zo_ae_ds/");
  app.add_option("--out", s.out, "Folder for results and checkpoints")->capture_default_str();
  app.add_option("--method", s.methods, "Defenses to train, beside no defense")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--all", s.all, "Train every method and sweep the queries per step");
  app.add_flag("--sweep", s.sweep, "Sweep the queries per step of the query-only methods");
  app.add_option("--budgets", s.budgets, "Queries per image and step of the sweep")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1} << 30))
      ->delimiter(',');
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  app.add_option("--checkpoint-every", s.checkpoint_every, "Steps between two checkpoints")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--seed", s.seed, "All randomness follows from it")->capture_default_str();
  app.add_option("--device", s.device, "Where the networks run: cpu, or cuda where LibTorch has it")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", s.threads,
                 "Threads of each process; another number gives other rounding")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
}

void add_training_options(CLI::App& app, settings& s) {
  app.add_option("--noise", s.noise, "Standard deviation of the noise; pixels are in [0, 1]")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--classifier-steps", s.classifier_steps, "Steps to train the classifier")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--autoencoder-steps", s.autoencoder_steps, "Steps to train the autoencoder")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--latent", s.latent, "Size of the latent vector")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--depth", s.depth, "Convolutions of the denoiser (DnCNN of the paper: 17)")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--width", s.width, "Channels of the denoiser (DnCNN of the paper: 64)")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--batch", s.batch, "Images per step of the defense")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--steps", s.steps, "Steps to train each defense")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option(
         "--temperature", s.temperature,
         "Divides the logits in the loss: above 1 it asks for the right class more than for "
         "confidence")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--reconstruction", s.reconstruction,
                 "Weight of the squared distance of the denoised from the clean image in the loss")
      ->check(not_negative)
      ->capture_default_str();
  app.add_option("--rate", s.rate, "Highest learning rate (Adam, warm-up, then cosine to zero)")
      ->check(positive)
      ->capture_default_str();
}

void add_estimate_options(CLI::App& app, settings& s) {
  app.add_option("--q,--directions", s.directions,
                 "Random directions per image and step of RGE (default: the latent size)")
      ->check(at_least_one);
  app.add_option("--coordinates", s.coordinates,
                 "Latent coordinates per step of CGE, drawn at random (default: all)")
      ->check(at_least_one);
  app.add_option("--mu,--smoothing", s.smoothing, "Step of the finite differences")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--scheme", s.scheme, "Finite differences: forward or central")
      ->check(CLI::IsMember({"forward", "central"}))
      ->capture_default_str();
  app.add_option("--distribution", s.distribution, "Directions: sphere, gaussian or rademacher")
      ->check(CLI::IsMember({"sphere", "gaussian", "rademacher"}))
      ->capture_default_str();
}

void add_certification_options(CLI::App& app, settings& s) {
  app.add_option("--images", s.images, "Test images to certify, from the first on")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--n0", s.n0, "Noisy copies that select the class")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--n", s.n, "Noisy copies that bound its probability")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--alpha", s.alpha, "Chance that a certificate is wrong")
      ->check(CLI::Range(1e-12, 0.5))
      ->capture_default_str();
}

void require(bool holds, const std::string& sentence) {
  if (!holds) throw CLI::ValidationError(sentence);
}

void check(const settings& s) {
  require(!s.coordinates || *s.coordinates <= s.latent,
          "--coordinates must be at most --latent, " + std::to_string(s.latent));
  require(s.dataset != "cifar10" || s.latent == 192,
          "--latent must be 192 on CIFAR-10, the size of its trained autoencoder");
}

// Options are bound to `s` and overwrite what it holds.
void parse_into(settings& s, int argc, char** argv, app::processes& all) {
  CLI::App app(
      "Defends an image classifier that only answers queries: trains a denoiser in front of it "
      "and\n"
      "certifies the result (ZO-AE-DS, Zhang et al. 2022, and its baselines).");
  // A later value of an option replaces an earlier one: scripts/demo sets sizes that users
  // override.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("blackbox_defense: ") + error.what() + " (see --help)\n";
  });
  add_run_options(app, s);
  add_training_options(app, s);
  add_estimate_options(app, s);
  add_certification_options(app, s);
  try {
    app.parse(argc, argv);
    if (s.dataset.empty()) {
      const bool cifar = !s.data.empty() && std::filesystem::exists(s.data / "cifar10");
      s.dataset = cifar ? "cifar10" : "fashion-mnist";
    }
    check(s);
  } catch (const CLI::ParseError& error) {
    std::ostream nowhere(nullptr);
    const int code = all.speaks() ? app.exit(error) : app.exit(error, nowhere, nowhere);
    all.exit(code == 0 ? 0 : 2);
  }
}

}  // namespace

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"none",  "fo-ds",        "fo-ae-ds",
                                                 "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"};
  return names;
}

settings parse(int argc, char** argv, app::processes& all) {
  // The same everywhere: another number gives other rounding.
  const auto cores = static_cast<int>(std::ranges::min(all.gather(all.threads())));
  // The defaults depend on the data set, so the first pass only finds out which it is.
  settings probe;
  probe.latent = 192;
  probe.threads = cores;
  parse_into(probe, argc, argv, all);
  settings result = defaults_for(probe.dataset);
  result.threads = cores;
  parse_into(result, argc, argv, all);
  if (result.all) {
    result.methods = method_names();
    result.sweep = true;
  }
  result.quiet = result.quiet || !all.speaks();
  nlohmann::json common = to_json(result);
  common.update({{"resume", result.resume},
                 {"fresh", result.fresh},
                 {"sweep", result.sweep},
                 {"budgets", result.budgets}});
  app::require_same_settings(all, common.dump());
  return result;
}

nlohmann::json to_json(const settings& s) {
  const auto or_null = [](const std::optional<std::int64_t>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  return {{"dataset", s.dataset},
          {"methods", s.methods},
          {"seed", s.seed},
          {"device", s.device},
          {"threads", s.threads},
          {"noise", s.noise},
          {"classifier-steps", s.classifier_steps},
          {"autoencoder-steps", s.autoencoder_steps},
          {"latent", s.latent},
          {"depth", s.depth},
          {"width", s.width},
          {"batch", s.batch},
          {"steps", s.steps},
          {"rate", s.rate},
          {"temperature", s.temperature},
          {"reconstruction", s.reconstruction},
          {"directions", or_null(s.directions)},
          {"coordinates", or_null(s.coordinates)},
          {"smoothing", s.smoothing},
          {"scheme", s.scheme},
          {"distribution", s.distribution},
          {"images", s.images},
          {"n0", s.n0},
          {"n", s.n},
          {"alpha", s.alpha}};
}

nlohmann::json select(const settings& from, const std::vector<std::string>& names) {
  const nlohmann::json all = to_json(from);
  nlohmann::json chosen;
  for (const std::string& name : names) chosen[name] = all.at(name);
  return chosen;
}

}  // namespace defense
