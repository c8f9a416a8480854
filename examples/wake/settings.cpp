#include "settings.hpp"

#include <algorithm>

#include "common/command_line.hpp"
#include "gradient.hpp"

namespace wake {

namespace {

using app::add_number;
using app::at_least_one;
using app::require_usable;
using range = app::whole_range<std::int64_t>;

constexpr range any_reynolds{1, 1'000'000};

void add_paper(CLI::App& app, settings& s) {
  app.add_flag("--paper", s.paper,
               "The paper's size: grids 32 and 128 across, 32 steps unrolled, 5 residual blocks of "
               "5 x 5 and 32 channels; hours to days");
}

void add_run_options(CLI::App& app, settings& s) {
  app::add_path(app, "--out", s.out, "Folder for results and checkpoints");
  app.add_option("--method", s.methods, "What is run, several with commas between")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',')
      ->capture_default_str();
  auto* const resume = app.add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app.add_flag("--fresh", s.fresh,
               "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app.add_flag("--quiet", s.quiet, "Print results only");
  add_number(app, "--checkpoint-every", s.checkpoint_every, at_least_one,
             "Steps of training between two checkpoints");
  add_number(app, "--seed", s.seed, app::any_seed, "All randomness follows from it");
  add_number(app, "--seeds", s.seeds, range{1, 1000}, "Networks that each method trains");
  add_number(app, "--threads", s.threads, app::some_threads,
             "Networks trained at the same time; the results are the same bits for any number");
}

void add_flow_options(CLI::App& app, settings& s) {
  add_number(app, "--rows", s.rows, range{4, 1024},
             "Cells of the coarse grid across the flow; along it there are twice as many");
  add_number(app, "--factor", s.factor, range{2, 64}, "How much finer the reference is");
  add_number(app, "--time-step", s.time_step, app::between(1e-3, 10),
             "In the time in which the inflow moves by a diameter");
  app::add_numbers(app, "--reynolds", s.reynolds, any_reynolds, "Reynolds numbers of training")
      ->default_str(CLI::detail::join(s.reynolds, ","));
  app::add_numbers(app, "--test-reynolds", s.test_reynolds, any_reynolds, "Those of the test")
      ->default_str(CLI::detail::join(s.test_reynolds, ","));
  add_number(app, "--settling", s.settling, range{0, 1'000'000},
             "Steps before the reference begins");
  add_number(app, "--frames", s.frames, range{1, 1'000'000}, "Steps of the reference of training");
  add_number(app, "--test-steps", s.test_steps, range{1, 1'000'000}, "Steps of a test simulation");
  add_number(app, "--starts", s.starts, range{1, 1000},
             "Test simulations of each Reynolds number, begun a fifth of --test-steps apart");
}

void add_training_options(CLI::App& app, settings& s) {
  add_number(app, "--unroll", s.unroll, range{1, 100'000},
             "Steps of the flow in a step of training");
  add_number(app, "--batch", s.batch, range{1, 100'000}, "Simulations in a step of training");
  add_number(app, "--steps", s.steps, range{1, 1'000'000'000},
             "Steps of training of non, cut and fo");
  add_number(app, "--calls", s.calls, range{1, std::int64_t{1} << 50},
             "Solver calls of each of the methods that only ask the solver");
  add_number(app, "--rate", s.rate, app::positive,
             "Highest rate of Adam, after a twentieth of the steps; then a cosine to zero");
  add_number(app, "--channels", s.channels, range{1, 4096}, "Of the network");
  add_number(app, "--kernel", s.kernel, range{1, 31}, "Width of its convolutions, an odd number");
  add_number(app, "--blocks", s.blocks, range{0, 100}, "Its residual blocks");
  add_number(app, "--evaluations", s.evaluations, range{1, 1'000'000},
             "Evaluations on the test simulations in a training");
}

void add_estimate_options(CLI::App& app, settings& s) {
  add_number(app, "--mu,--smoothing", s.smoothing, app::between(1e-6, 1e3),
             "Step of the finite differences");
  add_number(app, "--sparsity", s.sparsity, app::below_one,
             "Share of the weights that sparse-cge does not ask in a step");
  add_number(app, "--q,--directions", s.directions, app::some_directions,
             "Random directions of rge, suffix-rge and boundary-rge");
}

std::unique_ptr<CLI::App> command() {
  return app::make_command(
      "wake",
      "Corrects a coarse simulation of the flow behind a cylinder by a network in the loop (Um et "
      "al.\n"
      "2020), trained with and without derivatives of the solver.");
}

void check_effects(const settings& s, const CLI::App& given) {
  const auto for_some = [&](const char* option, const std::vector<std::string>& those) {
    if (given.count(option) == 0) return;
    const bool used = std::ranges::any_of(
        s.methods, [&](const auto& name) { return std::ranges::find(those, name) != those.end(); });
    require_usable(used, std::string(option) + " is for " + CLI::detail::join(those, ", ") +
                             ", and --method names none of them: leave it out");
  };
  for_some("--steps", {"non", "cut", "fo"});
  const std::vector<std::string> asking = {"sparse-cge",   "rge",          "suffix-rge",
                                           "boundary-rge", "boundary-cge", "chain"};
  for_some("--calls", asking);
  for_some("--smoothing", asking);
  for_some("--sparsity", {"sparse-cge"});
  for_some("--directions", {"rge", "suffix-rge", "boundary-rge"});
}

void check(const settings& s) {
  require_usable(s.kernel % 2 == 1, "--kernel must be odd, got " + std::to_string(s.kernel));
  require_usable(s.kernel / 2 <= s.rows,
                 "--kernel must be at most twice --rows, got " + std::to_string(s.kernel));
  require_usable(s.unroll <= s.frames, "--unroll must be at most --frames, " +
                                           std::to_string(s.frames) + ", got " +
                                           std::to_string(s.unroll));
  for (const std::string& method : s.methods) {
    if (!only_asks(method)) continue;
    const std::int64_t least = calls_before(method, s) + calls_of_step(method, s);
    require_usable(s.calls >= least, "--calls must be at least " + std::to_string(least) +
                                         ", what one step of " + method + " costs, got " +
                                         std::to_string(s.calls));
  }
}

// Of the default sizes.
settings first_reading(int argc, char** argv) {
  settings s;
  const auto app = command();
  app->allow_extras();
  app->set_help_flag();
  add_paper(*app, s);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError&) {
  }
  return s;
}

}  // namespace

double settings::largest_viscosity() const {
  const auto smallest = std::min(std::ranges::min(reynolds), std::ranges::min(test_reynolds));
  return 1 / static_cast<double>(smallest);
}

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {
      "src",        "non",          "cut",          "sparse-cge", "rge",
      "suffix-rge", "boundary-rge", "boundary-cge", "chain",      "fo"};
  return names;
}

bool only_asks(const std::string& method) {
  return method != "src" && method != "non" && method != "cut" && method != "fo";
}

settings defaults_for(bool paper) {
  settings s;
  s.paper = paper;
  s.methods = method_names();
  if (!paper) return s;
  s.rows = 32;
  s.time_step = 0.05;
  s.reynolds = {98, 195, 391, 781, 1562, 3125};
  s.test_reynolds = {146, 293, 586, 1172, 2344};
  s.settling = 800;
  s.frames = 500;
  s.test_steps = 500;
  s.starts = 1;
  s.unroll = 32;
  s.batch = 3;
  s.steps = 15'600;  // 100 epochs of 6 x 469 windows in batches of 18 would be as many
  s.rate = 1e-4;
  s.channels = 32;
  s.kernel = 5;
  s.blocks = 5;
  s.calls = 100'000'000;
  return s;
}

settings parse(int argc, char** argv, app::processes& all) {
  require_usable(all.ranks() == 1,
                 "this program is one process: start it without mpirun, and give "
                 "it --threads");
  settings s = defaults_for(first_reading(argc, argv).paper);
  s.threads = all.threads();
  const auto describe = [&s] {
    auto app = command();
    add_paper(*app, s);
    add_run_options(*app, s);
    add_flow_options(*app, s);
    add_training_options(*app, s);
    add_estimate_options(*app, s);
    return app;
  };
  const auto given = describe();
  if (!app::read_command_line(*given, argc, argv)) throw app::help_wanted{describe()->help()};
  check(s);
  check_effects(s, *given);
  return s;
}

nlohmann::json to_json(const settings& s) {
  return {{"method", s.methods},
          {"rows", s.rows},
          {"factor", s.factor},
          {"time-step", s.time_step},
          {"reynolds", s.reynolds},
          {"test-reynolds", s.test_reynolds},
          {"settling", s.settling},
          {"frames", s.frames},
          {"test-steps", s.test_steps},
          {"starts", s.starts},
          {"unroll", s.unroll},
          {"batch", s.batch},
          {"steps", s.steps},
          {"calls", s.calls},
          {"rate", s.rate},
          {"channels", s.channels},
          {"kernel", s.kernel},
          {"blocks", s.blocks},
          {"smoothing", s.smoothing},
          {"sparsity", s.sparsity},
          {"directions", s.directions},
          {"evaluations", s.evaluations},
          {"seeds", s.seeds},
          {"seed", s.seed},
          {"threads", s.threads}};
}

nlohmann::json options_of(const settings& from, const std::string& method) {
  nlohmann::json chosen = to_json(from);
  for (const char* name : {"method", "seeds", "threads"}) chosen.erase(name);
  chosen.erase(only_asks(method) ? "steps" : "calls");
  if (!only_asks(method)) chosen.erase("smoothing");
  if (method != "sparse-cge") chosen.erase("sparsity");
  if (!method.ends_with("rge")) chosen.erase("directions");
  return chosen;
}

}  // namespace wake
