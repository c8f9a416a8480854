#include "settings.hpp"

#include <algorithm>
#include <string_view>

#include "common/command_line.hpp"

namespace reconstruction {

namespace {

// Sizes that two cores finish in minutes, or those of the paper.
settings defaults_for(bool paper) {
  settings s;
  s.paper = paper;
  s.common.dataset = "fashion-mnist";
  s.common.out = "runs/reconstruction";
  s.common.methods = {"fo-ds", "fo-ae-ds", "zo-ds", "zo-ae-ds-cge"};
  s.common.steps = 300;
  s.common.autoencoder_steps = 2000;
  s.common.images = 100;
  if (paper) {
    s.common.depth = 17;
    s.common.width = 64;
    s.common.latent = 192;
    s.common.batch = 256;
    s.common.steps = 200 * 60'000 / 256;  // epochs
    s.common.images = 10'000;
  }
  return s;
}

using app::add_number;
using app::at_least_one;
using range = app::whole_range<std::int64_t>;

void add_run_options(CLI::App& app, settings& all) {
  defense::settings& s = all.common;
  app::add_path(app, "--data", s.data,
                "Folder of the data set (default: ZO_DATA_DIR, or where Debian's package has it)");
  app::add_path(app, "--out", s.out, "Folder for results and checkpoints");
  app.add_flag("--paper", all.paper, "Defaults of the paper's size: days on two cores");
  app.add_option("--method", s.methods, "Defenses to train, beside no defense")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',')
      ->capture_default_str();
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  add_number(app, "--checkpoint-every", s.checkpoint_every, at_least_one,
             "Steps between two checkpoints");
  add_number(app, "--seed", s.seed, app::any_seed, "All randomness follows from it");
  add_number(app, "--seeds", all.seeds, range{1, 1000},
             "Times that every defense is trained and attacked, with other random numbers each");
  add_number(app, "--threads", s.threads, app::some_threads,
             "Threads; another number gives other rounding");
}

void add_problem_options(CLI::App& app, settings& all) {
  defense::settings& s = all.common;
  add_number(app, "--measurements", all.measurements, range{1, 1 << 14},
             "Linear measurements of an image of 784 pixels");
  add_number(app, "--reconstructor-steps", all.reconstructor_steps, at_least_one,
             "Steps to train the reconstruction network");
  add_number(app, "--autoencoder-steps", s.autoencoder_steps, at_least_one,
             "Steps to train the autoencoder");
  add_number(app, "--latent", s.latent, range{1, 1 << 20}, "Size of the latent vector");
}

void add_training_options(CLI::App& app, settings& all) {
  defense::settings& s = all.common;
  add_number(app, "--noise", s.noise, app::between(1e-6, 1e3),
             "Standard deviation of the noise; measured images are in [0, 1]");
  add_number(app, "--depth", s.depth, range{2, 1000}, "Convolutions of the denoiser");
  add_number(app, "--width", s.width, range{1, 4096}, "Channels of the denoiser");
  add_number(app, "--batch", s.batch, range{2, 1 << 20}, "Images per step of the defense");
  add_number(app, "--steps", s.steps, at_least_one, "Steps to train each defense");
  add_number(app, "--rate", s.rate, app::positive,
             "Highest learning rate (Adam, warm-up, then cosine to zero)");
  add_number(app, "--q,--directions", s.directions, app::some_directions,
             "Random directions per image and step of RGE (default: the latent size, for as many "
             "queries as CGE)");
  add_number(app, "--mu,--smoothing", s.smoothing, app::between(1e-12, 1e6),
             "Step of the finite differences");
  app.add_option("--scheme", s.scheme, "Finite differences: forward or central")
      ->check(CLI::IsMember({"forward", "central"}))
      ->capture_default_str();
}

void add_test_options(CLI::App& app, settings& all) {
  add_number(app, "--images", all.common.images, at_least_one,
             "Test images to attack, from the first on");
  add_number(app, "--copies", all.copies, at_least_one,
             "Noisy copies whose reconstructions a defense averages");
  add_number(app, "--attack-steps", all.attack_steps, at_least_one, "Steps of an attack");
}

std::unique_ptr<CLI::App> command() {
  return app::make_command(
      "reconstruction",
      "Defends a network that reconstructs images from linear measurements and only answers "
      "queries:\n"
      "trains a denoiser in front of it and attacks the result (ZO-AE-DS, Zhang et al. 2022, its\n"
      "experiment on image reconstruction, and its baselines).");
}

// An option that is given and that nothing of the run looks at is a mistake.
void check_effects(const defense::settings& s, const CLI::App& given) {
  const auto for_some = [&](const char* option, const std::vector<std::string>& those) {
    if (given.count(option) == 0) return;
    const bool used = std::ranges::any_of(
        s.methods, [&](const auto& name) { return std::ranges::find(those, name) != those.end(); });
    app::require_usable(used, std::string(option) + " is for " + CLI::detail::join(those, ", ") +
                                  ", and --method names none of them: leave it out");
  };
  for_some("--directions", {"zo-ds", "zo-ae-ds-rge"});
  for (const char* option : {"--smoothing", "--scheme"}) {
    for_some(option, {"zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"});
  }
  for (const char* option : {"--depth", "--width", "--batch", "--steps", "--rate", "--copies"}) {
    for_some(option, {"fo-ds", "fo-ae-ds", "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"});
  }
}

nlohmann::json with(nlohmann::json options, const nlohmann::json& more) {
  options.update(more);
  return options;
}

}  // namespace

const std::vector<std::string>& method_names() { return defense::method_names(); }

settings parse(int argc, char** argv, app::processes& all) {
  app::require_usable(all.ranks() == 1,
                      "reconstruction runs in one process: start it without mpirun or srun");
  settings s = defaults_for(std::any_of(
      argv + 1, argv + argc, [](const char* word) { return word == std::string_view("--paper"); }));
  s.common.threads = all.threads();
  // The options are bound to `s`, and --help shows what it holds.
  const auto describe = [&s] {
    auto app = command();
    add_run_options(*app, s);
    add_problem_options(*app, s);
    add_training_options(*app, s);
    add_test_options(*app, s);
    return app;
  };
  const auto given = describe();
  if (!app::read_command_line(*given, argc, argv)) throw app::help_wanted{describe()->help()};
  const std::int64_t most = app::some_directions.most / s.common.batch;
  app::require_usable(s.common.directions.value_or(s.common.latent) <= most,
                      "--directions must be at most " + std::to_string(most) + " with --batch " +
                          std::to_string(s.common.batch));
  check_effects(s.common, *given);
  return s;
}

nlohmann::json to_json(const settings& s) {
  const auto scores = score_options(s);
  return with(scores, {{"methods", s.common.methods},
                       {"seeds", s.seeds},
                       {"paper", s.paper},
                       {"directions", s.common.directions.value_or(s.common.latent)}});
}

nlohmann::json reconstructor_options(const settings& s) {
  return with(defense::select(s.common, {"seed", "threads"}),
              {{"measurements", s.measurements}, {"reconstructor-steps", s.reconstructor_steps}});
}

nlohmann::json autoencoder_options(const settings& s) {
  return with(defense::select(s.common, {"seed", "threads", "latent", "autoencoder-steps"}),
              {{"measurements", s.measurements}});
}

nlohmann::json defense_options(const settings& s) {
  return with(with(reconstructor_options(s), autoencoder_options(s)),
              defense::select(s.common, {"noise", "depth", "width", "batch", "steps", "rate",
                                         "smoothing", "scheme"}));
}

nlohmann::json score_options(const settings& s) {
  return with(
      defense_options(s),
      {{"images", s.common.images}, {"copies", s.copies}, {"attack-steps", s.attack_steps}});
}

}  // namespace reconstruction
