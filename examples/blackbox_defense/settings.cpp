#include "settings.hpp"

#include <algorithm>

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

using app::add_number;
using app::at_least_one;
using app::positive;
using range = app::whole_range<std::int64_t>;

// What the defaults depend on.
void add_data_options(CLI::App& app, settings& s) {
  app.add_option("--dataset", s.dataset, "fashion-mnist, or cifar10 when --data holds it")
      ->check(CLI::IsMember({"fashion-mnist", "cifar10"}))
      ->capture_default_str();
  app::add_path(app, "--data", s.data,
                "Folder of the data set; for CIFAR-10 one with cifar10/, classifiers/, zo_ae_ds/ "
                "(default: ZO_DATA_DIR, or where Debian's package has it)");
}

void add_classifier_options(CLI::App& app, settings& s) {
  app.add_option("--classifier", s.classifier,
                 "Classifier that is asked and nothing else: https://…, or 'command …', a program "
                 "(docs/defense.md); default: one of the data set's");
  app.add_option(
      "--classifier-header", s.classifier_headers,
      "\"Name: value\" sent along; ${NAME} in it is an environment variable, for secrets");
  app::add_path(app, "--classifier-certificates", s.classifier_certificates,
                "File of the authorities to trust (PEM; default: the system's)");
}

void add_run_options(CLI::App& app, settings& s) {
  app::add_path(app, "--out", s.out, "Folder for results and checkpoints");
  app.add_option("--method", s.methods, "Defenses to train, beside no defense")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--all", s.all, "Train every method and sweep the queries per step");
  app.add_flag("--sweep", s.sweep, "Sweep the queries per step of the query-only methods");
  app::add_numbers(
      app, "--budgets", s.budgets, range{2, std::int64_t{1} << 30},
      "Queries per image and step of the sweep (default: 4, 8, 16, and those of CGE in "
      "all latent coordinates, by forward and by central differences)");
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  add_number(app, "--checkpoint-every", s.checkpoint_every, at_least_one,
             "Steps between two checkpoints");
  add_number(app, "--seed", s.seed, app::any_seed, "All randomness follows from it");
  app.add_option("--device", s.device, "Where the networks run: cpu, or cuda where LibTorch has it")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  add_number(app, "--threads", s.threads, app::some_threads,
             "Threads of each process; another number gives other rounding");
}

void add_training_options(CLI::App& app, settings& s) {
  add_number(app, "--noise", s.noise, app::between(1e-6, 1e3),
             "Standard deviation of the noise; pixels are in [0, 1]");
  add_number(app, "--classifier-steps", s.classifier_steps, at_least_one,
             "Steps to train the classifier");
  add_number(app, "--autoencoder-steps", s.autoencoder_steps, at_least_one,
             "Steps to train the autoencoder");
  add_number(app, "--latent", s.latent, range{1, 1 << 20}, "Size of the latent vector");
  add_number(app, "--depth", s.depth, range{2, 1000},
             "Convolutions of the denoiser (DnCNN of the paper: 17)");
  add_number(app, "--width", s.width, range{1, 4096},
             "Channels of the denoiser (DnCNN of the paper: 64)");
  add_number(app, "--batch", s.batch, range{2, 1 << 20}, "Images per step of the defense");
  add_number(app, "--steps", s.steps, at_least_one, "Steps to train each defense");
  add_number(app, "--temperature", s.temperature, app::between(1e-6, 1e6),
             "Divides the logits in the loss: above 1 it asks for the right class more than for "
             "confidence");
  add_number(app, "--reconstruction", s.reconstruction, app::between(0, 1e6),
             "Weight of the squared distance of the denoised from the clean image in the loss");
  add_number(app, "--rate", s.rate, positive,
             "Highest learning rate (Adam, warm-up, then cosine to zero)");
}

void add_estimate_options(CLI::App& app, settings& s) {
  add_number(app, "--q,--directions", s.directions, app::some_directions,
             "Random directions per image and step of RGE (default: the latent size)");
  add_number(app, "--coordinates", s.coordinates, at_least_one,
             "Latent coordinates per step of CGE, drawn at random (default: all)");
  add_number(app, "--mu,--smoothing", s.smoothing, app::between(1e-12, 1e6),
             "Step of the finite differences");
  app.add_option("--scheme", s.scheme, "Finite differences: forward or central")
      ->check(CLI::IsMember({"forward", "central"}))
      ->capture_default_str();
  app.add_option("--distribution", s.distribution, "Directions: sphere, gaussian or rademacher")
      ->check(CLI::IsMember({"sphere", "gaussian", "rademacher"}))
      ->capture_default_str();
}

void add_certification_options(CLI::App& app, settings& s) {
  add_number(app, "--images", s.images, at_least_one, "Test images to certify, from the first on");
  add_number(app, "--n0", s.n0, at_least_one, "Noisy copies that select the class");
  add_number(app, "--n", s.n, at_least_one, "Noisy copies that bound its probability");
  add_number(app, "--alpha", s.alpha, app::between(1e-12, 0.5),
             "Chance that a certificate is wrong");
}

std::unique_ptr<CLI::App> command() {
  return app::make_command(
      "blackbox_defense",
      "Defends an image classifier that only answers queries: trains a denoiser in front of it "
      "and\n"
      "certifies the result (ZO-AE-DS, Zhang et al. 2022, and its baselines).");
}

using app::require_usable;

// An option that is given and that nothing of the run looks at is a mistake.
void check_effects(const settings& s, const CLI::App& given) {
  const auto for_some = [&](const char* option, const std::vector<std::string>& those) {
    if (given.count(option) == 0) return;
    const bool used = std::ranges::any_of(
        s.methods, [&](const auto& name) { return std::ranges::find(those, name) != those.end(); });
    require_usable(used, std::string(option) + " is for " + CLI::detail::join(those, ", ") +
                             ", and --method names none of them: leave it out");
  };
  if (!s.sweep) {
    for_some("--directions", {"zo-ds", "zo-ae-ds-rge"});
    for_some("--distribution", {"zo-ds", "zo-ae-ds-rge"});
    for_some("--coordinates", {"zo-ae-ds-cge"});
    for (const char* option : {"--smoothing", "--scheme"}) {
      for_some(option, {"zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"});
    }
    for (const char* option : {"--depth", "--width", "--batch", "--steps", "--rate",
                               "--temperature", "--reconstruction"}) {
      for_some(option, {"fo-ds", "fo-ae-ds", "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"});
    }
    require_usable(given.count("--budgets") == 0, "--budgets is for --sweep: give it too");
  }
  require_usable(
      given.count("--classifier-steps") == 0 || s.classifier.empty(),
      "--classifier-steps has no effect on --classifier, which is trained: leave it out");
  for (const char* option : {"--classifier-steps", "--autoencoder-steps"}) {
    require_usable(given.count(option) == 0 || s.dataset != "cifar10",
                   std::string(option) +
                       " has no effect on CIFAR-10, whose networks are trained: leave it out");
  }
}

bool is_white_box(const std::string& method) { return method.starts_with("fo-"); }

void check_classifier(const settings& s) {
  const bool address = s.classifier.starts_with("https://") || s.classifier.starts_with("http://");
  require_usable(s.classifier.empty() || address || s.classifier.starts_with("command "),
                 "--classifier is https://…, http://… or 'command …'");
  require_usable(
      address || (s.classifier_headers.empty() && s.classifier_certificates.empty()),
      "--classifier-header and --classifier-certificates are for --classifier https://…");
  require_usable(s.classifier.empty() || std::ranges::none_of(s.methods, is_white_box),
                 "fo-ds and fo-ae-ds need gradients of the classifier, and --classifier has none");
}

void check(const settings& s) {
  check_classifier(s);
  require_usable(!s.coordinates || *s.coordinates <= s.latent,
                 "--coordinates must be at most --latent, " + std::to_string(s.latent));
  require_usable(s.dataset != "cifar10" || s.latent == 192,
                 "--latent must be 192 on CIFAR-10, the size of its trained autoencoder");
  const std::int64_t most = app::some_directions.most / s.batch;
  require_usable(s.directions.value_or(s.latent) <= most,
                 "--directions must be at most " + std::to_string(most) + " with --batch " +
                     std::to_string(s.batch));
  for (const std::int64_t budget : s.budgets) {
    require_usable(budget <= most, "--budgets must be at most " + std::to_string(most) +
                                       " with --batch " + std::to_string(s.batch));
  }
}

// The data set decides about defaults. What else is wrong is for the second reading.
std::string dataset_of(int argc, char** argv) {
  settings s;
  const auto app = command();
  app->allow_extras();
  app->set_help_flag();
  add_data_options(*app, s);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError&) {
  }
  if (!s.dataset.empty()) return s.dataset;
  const bool cifar = !s.data.empty() && std::filesystem::exists(s.data / "cifar10");
  return cifar ? "cifar10" : "fashion-mnist";
}

}  // namespace

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"none",  "fo-ds",        "fo-ae-ds",
                                                 "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"};
  return names;
}

settings parse(int argc, char** argv, app::processes& all) {
  settings s = defaults_for(dataset_of(argc, argv));
  // The same everywhere: another number gives other rounding.
  s.threads = static_cast<int>(std::ranges::min(all.gather(all.threads())));
  // The options are bound to `s`, and --help shows what it holds.
  const auto describe = [&s] {
    auto app = command();
    add_data_options(*app, s);
    add_classifier_options(*app, s);
    add_run_options(*app, s);
    add_training_options(*app, s);
    add_estimate_options(*app, s);
    add_certification_options(*app, s);
    return app;
  };
  const auto given = describe();
  if (!app::read_command_line(*given, argc, argv)) throw app::help_wanted{describe()->help()};
  if (s.all) {
    s.methods = method_names();
    if (!s.classifier.empty()) std::erase_if(s.methods, is_white_box);
    s.sweep = true;
  }
  check(s);
  check_effects(s, *given);
  s.quiet = s.quiet || !all.speaks();
  nlohmann::json common = to_json(s);
  common.update(
      {{"resume", s.resume}, {"fresh", s.fresh}, {"sweep", s.sweep}, {"budgets", s.budgets}});
  app::require_same_settings(all, common.dump());
  return s;
}

nlohmann::json to_json(const settings& s) {
  const auto or_null = [](const std::optional<std::int64_t>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  const std::string address = s.classifier.substr(0, s.classifier.find('?'));  // a key may follow
  return {{"dataset", s.dataset},
          {"classifier", address.empty() ? nlohmann::json(nullptr) : nlohmann::json(address)},
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
