// What a run of the program is asked to do: the command line as values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/processes.hpp"
#include "equation.hpp"

namespace coefficients {

/// Every field is the command-line option of the same name; see --help.
struct settings {
  std::vector<std::string> equations;
  std::vector<std::string> methods;
  std::filesystem::path data;
  std::filesystem::path out = "runs/coefficients";
  bool one = false;
  bool paper = false;
  bool resume = false;
  bool fresh = false;
  bool quiet = false;

  std::int64_t seeds = 5;
  std::uint64_t seed = 1;
  double start = 2;
  double noise = 0;
  std::int64_t steps = 100;
  double rate = 0.05;
  double smoothing = 1e-4;
  std::int64_t grid = 12;
  std::optional<std::int64_t> directions = {};  ///< unset: as many as unknown coefficients
  std::optional<int> space = {};                ///< unset: that of the equation
  std::optional<int> time = {};
  std::int64_t checkpoint_every = 20;
  int threads = 1;

  int unknowns() const { return one ? 1 : 2; }
  resolution of(const equation& what) const;
};

/// Names that --method accepts, in the order of the table.
const std::vector<std::string>& method_names();

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use.
settings parse(int argc, char** argv, const app::processes& all);

/// The settings by option name, for summary.json.
nlohmann::json to_json(const settings& from);

/// Those that a run of this method depends on.
nlohmann::json options_of(const settings& from, const equation& what, const std::string& method);

}  // namespace coefficients
