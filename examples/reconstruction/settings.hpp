// What a run of the program is asked to do: the command line as values.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../blackbox_defense/settings.hpp"
#include "common/processes.hpp"

namespace reconstruction {

/// Every field is the command-line option of the same name; see --help.
struct settings {
  /// Options that blackbox_defense has too. Its seed is that of the problem and of the first of
  /// `seeds` runs; its dataset is fashion-mnist, its device the CPU.
  defense::settings common;
  bool paper = false;
  std::int64_t measurements = 576;
  std::int64_t reconstructor_steps = 3000;
  std::int64_t seeds = 3;
  std::int64_t copies = 10;
  std::int64_t attack_steps = 40;
};

/// 2-norms of the attacks that are measured: those of the paper's table.
inline constexpr std::array<int, 5> attack_norms = {0, 1, 2, 3, 4};

/// Names that --method accepts, in the order of the table. "none" is always evaluated.
const std::vector<std::string>& method_names();

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use.
settings parse(int argc, char** argv, app::processes& all);

/// The settings by option name, for summary.json.
nlohmann::json to_json(const settings& from);

/// What the reconstructor, the autoencoder, a trained defense and its scores depend on.
nlohmann::json reconstructor_options(const settings& from);
nlohmann::json autoencoder_options(const settings& from);
nlohmann::json defense_options(const settings& from);
nlohmann::json score_options(const settings& from);

}  // namespace reconstruction
