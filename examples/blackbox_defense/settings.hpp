// What a run of the program is asked to do: the command line as values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/processes.hpp"

namespace defense {

/// Every field is the command-line option of the same name; see --help.
struct settings {
  std::string dataset;  ///< "fashion-mnist" or "cifar10"
  std::filesystem::path data;
  std::filesystem::path out = "runs/blackbox_defense";
  std::string classifier = {};  ///< an address, or "command …"; empty: the data set's, trained here
  std::vector<std::string> classifier_headers = {};
  std::filesystem::path classifier_certificates = {};
  bool all = false;
  bool sweep = false;
  bool resume = false;
  bool fresh = false;
  bool quiet = false;
  std::vector<std::string> methods = {"zo-ae-ds-cge"};
  std::vector<std::int64_t> budgets = {};  ///< queries per image and step; empty: around the latent

  std::uint64_t seed = 1;
  std::string device = "cpu";
  int threads = 0;  ///< set to the number of cores by parse()
  std::int64_t checkpoint_every = 50;

  double noise = 0.25;
  std::int64_t classifier_steps = 5000;
  std::int64_t autoencoder_steps = 3000;
  std::int64_t latent = 48;

  std::int64_t depth = 5;
  std::int64_t width = 16;
  std::int64_t batch = 64;
  std::int64_t steps = 600;
  double rate = 2e-3;
  double temperature = 1;
  double reconstruction = 0;

  std::optional<std::int64_t> directions = {};   ///< unset: the latent size
  std::optional<std::int64_t> coordinates = {};  ///< of CGE; unset: all
  double smoothing = 0.005;
  std::string scheme = "forward";
  std::string distribution = "sphere";

  std::int64_t images = 200;
  std::int64_t n0 = 100;
  std::int64_t n = 10000;
  double alpha = 0.001;
};

/// Names that --method accepts, in the order of the table. "none" is always evaluated.
const std::vector<std::string>& method_names();

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use. Of several processes rank 0 prints, and the
/// settings of the others are quiet; all have the same number of threads.
settings parse(int argc, char** argv, app::processes& all);

/// The settings by option name, for summary.json.
nlohmann::json to_json(const settings& from);

/// Those of `names` only: what a stage of the run depends on.
nlohmann::json select(const settings& from, const std::vector<std::string>& names);

}  // namespace defense
