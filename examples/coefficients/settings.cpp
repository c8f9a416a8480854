#include "settings.hpp"

#include <algorithm>
#include <zo/zo.hpp>

#include "common/command_line.hpp"

namespace coefficients {

namespace {

using app::add_number;
using app::at_least_one;
using app::positive;
using app::require_usable;
using range = app::whole_range<std::int64_t>;

std::vector<std::string> equation_names() {
  std::vector<std::string> names;
  for (const equation& each : equations()) names.push_back(each.name);
  return names;
}

settings defaults_for(bool paper) {
  settings s;
  s.equations = equation_names();
  s.methods = method_names();
  if (paper) s.steps = 1000;
  return s;
}

std::unique_ptr<CLI::App> describe(settings& s) {
  auto app = app::make_command(
      "coefficients",
      "Recovers the coefficients of Burgers', Allen-Cahn's and KdV's equation from a solution, by\n"
      "questions to a solver (coefficient discovery, (FG)2U, NeurIPS 2024).");
  app::add_path(*app, "--data", s.data,
                "Folder of burgers, allen_cahn, kdv.safetensors (default: ZO_DATA_DIR)");
  app::add_path(*app, "--out", s.out, "Folder for results and checkpoints");
  app->add_option("--equation", s.equations, "Several with commas between")
      ->check(CLI::IsMember(equation_names()))
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--method", s.methods, "Several with commas between")
      ->check(CLI::IsMember(method_names()))
      ->delimiter(',')
      ->capture_default_str();
  app->add_flag("--one", s.one,
                "Only the coefficient of the highest derivative is unknown, as in the published "
                "code");
  app->add_flag("--paper", s.paper,
                "The paper's size: 512 x 1024 points (KdV 128 x 600), 1,000 steps; days on two "
                "cores");
  auto* const resume = app->add_flag("--resume", s.resume, "Go on from the checkpoints in --out");
  app->add_flag(
         "--fresh", s.fresh,
         "Begin anew where checkpoints of an unfinished run are; they are moved, not deleted")
      ->excludes(resume);
  app->add_flag("--quiet", s.quiet, "Print results only");
  add_number(*app, "--seeds", s.seeds, range{1, 1000},
             "Runs of each method; seeds follow each other from --seed on");
  add_number(*app, "--seed", s.seed, app::any_seed,
             "Starting coefficients, noise and directions follow from it");
  add_number(*app, "--start", s.start, app::between(1, 1000),
             "Coefficients start within this factor of the true ones, evenly in their logarithms");
  add_number(*app, "--noise", s.noise, app::between(0, 10),
             "Added to the data, in standard deviations of them");
  add_number(*app, "--steps", s.steps, range{1, 1'000'000}, "Steps of Adam");
  add_number(*app, "--rate", s.rate, positive, "Of Adam at the first step; falls evenly to 0");
  add_number(*app, "--mu,--smoothing", s.smoothing, app::between(1e-12, 1),
             "Step of the differences, in logarithms of coefficients");
  add_number(*app, "--grid", s.grid, range{2, 64}, "Directions of quadrature in each dimension");
  add_number(*app, "--q,--directions", s.directions, app::some_directions,
             "Random directions a step of rge (default: as many as unknown coefficients)");
  const app::whole_range<int> fine{16, 16384};
  if (s.space) fine.read("--space", std::to_string(*s.space));
  app->add_option(
         "--space",
         [&s, fine](const CLI::results_t& given) {
           s.space = fine.read("--space", given.back());
           return true;
         },
         "Points in space inside the solver (default: 192, 256, 96)")
      ->type_name("INT");
  app->add_option(
         "--time",
         [&s](const CLI::results_t& given) {
           s.time = app::whole_range<int>{1, 1'000'000}.read("--time", given.back());
           return true;
         },
         "Steps of time inside the solver (default: 99, 100, 400)")
      ->type_name("INT");
  add_number(*app, "--checkpoint-every", s.checkpoint_every, at_least_one,
             "Steps between two checkpoints");
  add_number(*app, "--threads", s.threads, app::some_threads, "The bits are those of any number");
  return app;
}

bool names_paper(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc,
                     [](const char* argument) { return std::string(argument) == "--paper"; });
}

// An option that is given and that no chosen method looks at is a mistake.
void check_effects(const settings& s, const CLI::App& given) {
  const auto for_some = [&](const char* option, const std::vector<std::string>& those) {
    if (given.count(option) == 0) return;
    const bool used = std::ranges::any_of(
        s.methods, [&](const auto& name) { return std::ranges::find(those, name) != those.end(); });
    require_usable(used, std::string(option) + " is for " + CLI::detail::join(those, ", ") +
                             ", and --method names none of them: leave it out");
  };
  for_some("--directions", {"rge"});
  for_some("--grid", {"quadrature"});
  for_some("--steps", {"quadrature", "cge", "rge"});
  for_some("--rate", {"quadrature", "cge", "rge"});
}

}  // namespace

resolution settings::of(const equation& what) const {
  resolution how = paper ? what.paper : what.usual;
  how.space = space.value_or(how.space);
  how.steps = time.value_or(how.steps);
  return how;
}

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"quadrature", "cge", "rge", "least-squares"};
  return names;
}

settings parse(int argc, char** argv, const app::processes& all) {
  require_usable(all.ranks() == 1, "this program runs as one process: start it without mpirun");
  settings s = defaults_for(names_paper(argc, argv));
  s.threads = all.threads();
  const settings defaults = s;
  const auto given = describe(s);
  if (!app::read_command_line(*given, argc, argv)) {
    settings shown = defaults;
    throw app::help_wanted{describe(shown)->help()};
  }
  check_effects(s, *given);
  return s;
}

nlohmann::json to_json(const settings& s) {
  const auto or_null = [](const auto& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  return {{"equation", s.equations},
          {"method", s.methods},
          {"one", s.one},
          {"paper", s.paper},
          {"seeds", s.seeds},
          {"seed", s.seed},
          {"start", s.start},
          {"noise", s.noise},
          {"steps", s.steps},
          {"rate", s.rate},
          {"smoothing", s.smoothing},
          {"grid", s.grid},
          {"directions", or_null(s.directions)},
          {"space", or_null(s.space)},
          {"time", or_null(s.time)},
          {"threads", s.threads}};
}

nlohmann::json options_of(const settings& from, const equation& what, const std::string& method) {
  std::vector<std::string> names = {"one", "start", "noise", "smoothing"};
  if (method != "least-squares") names.insert(names.end(), {"steps", "rate"});
  if (method == "quadrature") names.push_back("grid");
  if (method == "rge") names.push_back("directions");
  const nlohmann::json all = to_json(from);
  nlohmann::json chosen;
  for (const std::string& name : names) chosen[name] = all.at(name);
  chosen["space"] = from.of(what).space;
  chosen["time"] = from.of(what).steps;
  return chosen;
}

}  // namespace coefficients
