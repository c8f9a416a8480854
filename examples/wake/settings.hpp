// What a run of the program is asked to do: the command line as values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/processes.hpp"
#include "network.hpp"
#include "solver.hpp"

namespace wake {

/// Every field is the command-line option of the same name; see --help.
struct settings {
  std::filesystem::path out = "runs/wake";
  bool paper = false;
  bool resume = false;
  bool fresh = false;
  bool quiet = false;
  std::vector<std::string> methods;

  std::int64_t rows = 16;  ///< of the coarse grid
  std::int64_t factor = 4;
  double time_step = 0.2;
  std::vector<std::int64_t> reynolds = {80, 120, 180, 270, 405, 608};
  std::vector<std::int64_t> test_reynolds = {98, 147, 220, 331, 496};
  std::int64_t settling = 200;
  std::int64_t frames = 300;
  std::int64_t test_steps = 300;
  std::int64_t starts = 2;

  std::int64_t unroll = 16;
  std::int64_t batch = 4;
  std::int64_t steps = 400;
  std::int64_t calls = 400'000;
  double rate = 3e-3;

  std::int64_t channels = 8;
  std::int64_t kernel = 3;
  std::int64_t blocks = 1;

  double smoothing = 1e-3;
  double sparsity = 0.9;
  std::int64_t directions = 16;

  std::int64_t evaluations = 8;
  std::int64_t checkpoint_every = 20;
  std::int64_t seeds = 3;
  std::uint64_t seed = 1;
  int threads = 1;

  grid coarse() const { return {2 * rows, rows, time_step}; }
  network net() const { return {channels, kernel, blocks}; }
  /// Of the smallest Reynolds number.
  double largest_viscosity() const;
};

/// Names that --method accepts, in the order of the table.
const std::vector<std::string>& method_names();
/// Whether the method asks the solver without derivatives, and so ends with --calls.
bool only_asks(const std::string& method);

/// Sizes that two cores finish in minutes, or those of the paper.
settings defaults_for(bool paper);

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use.
settings parse(int argc, char** argv, app::processes& all);

/// The settings by option name, for summary.json.
nlohmann::json to_json(const settings& from);

/// Those that training by this method depends on.
nlohmann::json options_of(const settings& from, const std::string& method);

}  // namespace wake
