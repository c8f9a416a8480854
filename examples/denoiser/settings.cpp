#include "settings.hpp"

#include <algorithm>
#include <array>

#include "common/command_line.hpp"

namespace denoiser {

namespace {

using app::add_number;
using app::at_least_one;
using app::positive;
using app::require_usable;
using range = app::whole_range<std::int64_t>;

settings defaults() {
  settings s;
  s.base.dataset = "fashion-mnist";
  s.base.out = "runs/denoiser";
  s.base.classifier_steps = 3000;
  s.base.autoencoder_steps = 2000;
  s.base.depth = 4;
  s.base.width = 8;
  s.base.batch = 32;
  s.base.steps = 200;
  s.base.images = 100;
  s.base.n = 1000;
  return s;
}

void add_run_options(CLI::App& app, settings& s) {
  app::add_path(app, "--data", s.base.data,
                "Folder of Fashion-MNIST (default: ZO_DATA_DIR, or where Debian's package has it)");
  app::add_path(app, "--out", s.base.out, "Folder for results and checkpoints");
  app.add_option("--method", s.methods, "Methods to compare, with commas between (default: all)")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',');
  app.add_flag("--tune", s.tune,
               "Train every method at each rate of the same grid instead, and rank the rates by "
               "training images that no denoiser was trained on");
  auto* const resume =
      app.add_flag("--resume", s.base.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.base.fresh,
               "Begin anew; checkpoints that are in --out are moved to a folder beside")
      ->excludes(resume);
  app.add_flag("--quiet", s.base.quiet, "Print results only");
  add_number(app, "--checkpoint-every", s.base.checkpoint_every, at_least_one,
             "Steps between two checkpoints");
  add_number(app, "--seed", s.base.seed, app::whole_range<std::uint64_t>{0, 1ULL << 62},
             "Of the classifier and of the first training; all randomness follows from it");
  add_number(app, "--seeds", s.seeds, range{1, 1000}, "Trainings of each method");
  add_number(app, "--threads", s.base.threads, app::some_threads,
             "Threads; another number gives other rounding");
}

void add_training_options(CLI::App& app, settings& s) {
  add_number(app, "--noise", s.base.noise, app::between(1e-6, 1e3),
             "Standard deviation of the noise; pixels are in [0, 1]");
  add_number(app, "--classifier-steps", s.base.classifier_steps, at_least_one,
             "Steps to train the classifier");
  add_number(app, "--autoencoder-steps", s.base.autoencoder_steps, at_least_one,
             "Steps to train the autoencoder");
  add_number(app, "--latent", s.base.latent, range{1, 1 << 20},
             "Size of the latent vector of zo-ae-ds");
  add_number(app, "--depth", s.base.depth, range{2, 1000},
             "Convolutions of the denoiser (the paper: 17)");
  add_number(app, "--width", s.base.width, range{1, 4096},
             "Channels of the denoiser (the paper: 64)");
  app.add_option(
         "--start", s.start,
         "Where all trainings start: denoising, trained on noisy images without queries, or "
         "identity")
      ->check(CLI::IsMember({"denoising", "identity"}))
      ->capture_default_str();
  add_number(app, "--start-steps", s.start_steps, at_least_one, "Steps of --start denoising");
  add_number(app, "--batch", s.base.batch, range{2, 1 << 20}, "Images of a step");
  add_number(app, "--steps", s.base.steps, at_least_one, "Steps of each training");
  add_number(app, "--evaluations", s.evaluations, range{1, 1000},
             "Points of the curves of accuracy by queries, beside the start");
  add_number(app, "--held-out", s.held_out, range{1, 59'000},
             "Training images that no denoiser is trained on: for the curves and --tune");
}

void add_estimate_options(CLI::App& app, settings& s) {
  add_number(app, "--q", s.q, range{1, 1 << 24},
             "Questions of an estimate, beside the one it begins with (the paper: 1152)");
  add_number(app, "--mu,--smoothing", s.base.smoothing, app::between(1e-12, 1e6),
             "Step of the finite differences");
  add_number(app, "--interval", s.interval, at_least_one,
             "Steps between new coordinate sets of deepzero");
  app::detail::add(app, "--rate",
                   "Highest learning rate of all methods (default: by method, as "
                   "--tune found it)",
                   "FLOAT",
                   [&s](const std::string& text) { s.rate = positive.read("--rate", text); });
}

void add_certification_options(CLI::App& app, settings& s) {
  add_number(app, "--images", s.base.images, range{1, 10'000},
             "Test images to certify, from the first on");
  add_number(app, "--n0", s.base.n0, at_least_one, "Noisy copies that select the class");
  add_number(app, "--n", s.base.n, at_least_one, "Noisy copies that bound its probability");
  add_number(app, "--alpha", s.base.alpha, app::between(1e-12, 0.5),
             "Chance that a certificate is wrong");
}

bool named(const settings& s, const std::string& method) {
  return s.methods.empty() || std::ranges::find(s.methods, method) != s.methods.end();
}

void check(const settings& s, const CLI::App& given) {
  require_usable(!named(s, "zo-ae-ds") || s.q <= s.base.latent,
                 "--q must be at most --latent, " + std::to_string(s.base.latent) +
                     ", for zo-ae-ds, which asks every latent coordinate once at most");
  require_usable(s.q < app::some_directions.most / s.base.batch,
                 "--q and --batch are too many questions: give less");
  require_usable(!s.tune || !s.rate, "--tune tries rates of its own: leave out --rate");
  require_usable(given.count("--start-steps") == 0 || s.start == "denoising",
                 "--start-steps is for --start denoising: leave it out");
  require_usable(given.count("--interval") == 0 || named(s, "deepzero"),
                 "--interval is for deepzero, and --method does not name it: leave it out");
  if (!s.tune) return;
  for (const char* option : {"--images", "--n0", "--n", "--alpha", "--seeds"}) {
    require_usable(
        given.count(option) == 0,
        std::string(option) + " is for certificates, and --tune makes none: leave it out");
  }
}

}  // namespace

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {
      "fo-ds", "fo-ae-ds", "zo-ds", "zo-ae-ds", "deepzero", "weights-rge", "activations"};
  return names;
}

bool asks(const std::string& method) { return !method.starts_with("fo-"); }

double rate_of(const std::string& method, const settings& s) {
  if (s.rate) return *s.rate;
  constexpr std::array rates = {3e-4, 1e-3, 1e-4, 1e-3, 3e-4, 1e-4, 1e-4};
  static_assert(rates.size() == 7);
  const auto place = std::ranges::find(method_names(), method) - method_names().begin();
  return rates[static_cast<std::size_t>(place)];
}

const std::vector<double>& tuned_rates() {
  static const std::vector<double> rates = {1e-4, 3e-4, 1e-3, 3e-3, 1e-2};
  return rates;
}

settings parse(int argc, char** argv, app::processes& all) {
  settings s = defaults();
  require_usable(all.ranks() == 1,
                 "this program runs as one process; scripts/demo and scripts/deepzero share their "
                 "queries between several");
  s.base.threads = all.threads();
  // The options are bound to `s`, and --help shows what it holds.
  const auto describe = [&s] {
    auto app =
        app::make_command("denoiser",
                          "Trains a denoiser in front of a classifier that only answers queries, "
                          "by queries about its "
                          "weights\n(DeepZero, Chen et al. 2024), about a latent vector (ZO-AE-DS, "
                          "Zhang et al. 2022) "
                          "or the image,\nall with equally many, and certifies what comes out.");
    add_run_options(*app, s);
    add_training_options(*app, s);
    add_estimate_options(*app, s);
    add_certification_options(*app, s);
    return app;
  };
  const auto given = describe();
  if (!app::read_command_line(*given, argc, argv)) throw app::help_wanted{describe()->help()};
  check(s, *given);
  return s;
}

nlohmann::json to_json(const settings& s) {
  nlohmann::json all =
      defense::select(s.base, {"dataset", "seed", "threads", "noise", "classifier-steps",
                               "autoencoder-steps", "latent", "depth", "width", "batch", "steps",
                               "smoothing", "images", "n0", "n", "alpha"});
  all.update({{"methods", s.methods.empty() ? method_names() : s.methods},
              {"start", s.start},
              {"q", s.q},
              {"interval", s.interval},
              {"evaluations", s.evaluations},
              {"held-out", s.held_out},
              {"rate", s.rate ? nlohmann::json(*s.rate) : nlohmann::json(nullptr)}});
  if (s.tune) all["tune"] = true;
  if (!s.tune) all["seeds"] = s.seeds;
  if (s.start == "denoising") all["start-steps"] = s.start_steps;
  return all;
}

nlohmann::json start_options(const settings& s, std::uint64_t seed) {
  nlohmann::json with = defense::select(s.base, {"threads", "noise", "depth", "width", "batch"});
  with.update({{"start", s.start},
               {"start-steps", s.start_steps},
               {"held-out", s.held_out},
               {"seed", seed}});
  return with;
}

nlohmann::json training_options(const settings& s, const std::string& method, double rate,
                                std::uint64_t seed) {
  nlohmann::json with = start_options(s, seed);
  with.update(defense::select(s.base, {"classifier-steps", "steps", "smoothing"}));
  with.update({{"method", method}, {"rate", rate}, {"q", s.q}, {"evaluations", s.evaluations}});
  with["classifier-seed"] = s.base.seed;
  if (method == "deepzero") with["interval"] = s.interval;
  if (method.ends_with("ae-ds")) {
    with.update(defense::select(s.base, {"latent", "autoencoder-steps"}));
  }
  return with;
}

}  // namespace denoiser
