// What a run of the program is asked to do: the command line as values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/processes.hpp"

namespace deepzero {

/// What is compared.
enum class comparison : std::uint8_t {
  estimators,  ///< on one network
  sizes,       ///< --study: CGE and RGE by number of parameters
  paper        ///< --table: the sizes of the paper's figure, beside its results
};

/// Every field is the command-line option of the same name; see --help. The defaults are set by
/// defaults_for(), in one place.
struct settings {
  std::string dataset;  ///< "fashion-mnist" or "cifar10"
  std::filesystem::path data;
  std::filesystem::path out = "runs/deepzero";
  comparison what = comparison::estimators;
  bool resume = false;
  bool fresh = false;
  bool quiet = false;
  std::vector<std::string> estimators;

  std::string network;  ///< "cnn", "mlp", "resnet20", "resnet32" …
  std::int64_t channels = 8;
  std::int64_t depth = 3;

  std::optional<std::int64_t> images = {};  ///< unset: all
  std::optional<std::int64_t> test_images = {};
  std::int64_t epochs = 1;
  std::int64_t batch = 32;
  double rate = 0.1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double warmup = 0;  ///< epochs

  double smoothing = 5e-3;
  double sparsity = 0.9;
  double interval = 1;                          ///< epochs
  std::optional<std::int64_t> directions = {};  ///< unset: as many as parameters

  std::int64_t evaluations = 10;  ///< per epoch
  std::int64_t checkpoint_every = 50;
  std::uint64_t seed = 1;
  int threads = 1;
  std::string device = "cpu";      ///< or "cuda"
  std::string products = "exact";  ///< or "bfloat16"
};

/// Names that --estimator accepts, in the order of the table.
const std::vector<std::string>& estimator_names();

/// Sizes that two cores finish in minutes, for a data set and what is compared on it; those of the
/// table take hours. The estimators are those that a device has.
settings defaults_for(const std::string& dataset, comparison what,
                      const std::string& device = "cpu");

/// The command line as settings. Throws app::help_wanted for --help, and app::usage_error with one
/// sentence for anything it cannot use. Of several processes rank 0 prints; the settings
/// of the others are quiet, and the default of --threads is each one's own.
settings parse(int argc, char** argv, app::processes& all);

/// The settings by option name, for summary.json.
nlohmann::json to_json(const settings& from);

/// Those that training by this estimator depends on.
nlohmann::json options_of(const settings& from, const std::string& estimator);

}  // namespace deepzero
