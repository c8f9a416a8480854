// What a run of the program is asked to do: the command line as values.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "blackbox_defense/settings.hpp"
#include "common/processes.hpp"

namespace denoiser {

/// Every field is the command-line option of the same name; see --help.
struct settings {
  /// Those that the defense has too: data, networks, noise, training, certification.
  defense::settings base;
  std::vector<std::string> methods;  ///< empty: all of method_names()
  std::string start = "denoising";   ///< "denoising": trained without queries; or "identity"
  std::int64_t start_steps = 600;
  std::int64_t q = 48;         ///< questions of an estimate, beside the one it begins with
  std::int64_t interval = 1;   ///< steps between new coordinate sets of deepzero
  std::int64_t seeds = 3;      ///< trainings of each method
  std::optional<double> rate;  ///< unset: rate_of() the method
  bool tune = false;
  std::int64_t evaluations = 6;
  std::int64_t held_out = 5000;  ///< training images that no denoiser is trained on
};

/// Names that --method accepts, in the order of the table. "none" and "start" are always there.
const std::vector<std::string>& method_names();

/// Whether the method's gradients come from queries alone beyond the denoiser; false for fo-….
bool asks(const std::string& method);

/// Highest learning rate of a method where --rate is not given: that of --tune.
double rate_of(const std::string& method, const settings& s);

/// The rates that --tune tries, the same for all methods.
const std::vector<double>& tuned_rates();

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use.
settings parse(int argc, char** argv, app::processes& all);

/// The settings by option name.
nlohmann::json to_json(const settings& from);

/// What the start of a seed depends on, and what the training of a method does.
nlohmann::json start_options(const settings& s, std::uint64_t seed);
nlohmann::json training_options(const settings& s, const std::string& method, double rate,
                                std::uint64_t seed);

}  // namespace denoiser
