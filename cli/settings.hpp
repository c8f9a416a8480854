// All that makes a run what it is: options of the command line, and an object in the first line of
// its log.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parameters.hpp"
#include "zo/outcome.hpp"

namespace cli {

/// What a log is bound to.
struct settings {
  std::vector<zo::parameter> parameters;
  std::string estimator = "cge";
  std::int64_t directions = 0;  // of rge; 0: as many as parameters are free
  std::string distribution = "gaussian";
  std::string scheme = "central";
  std::string smoothing = "0.01";  // or automatic
  std::string rule;                // empty: lbfgs with cge, else adam
  double rate = 0.02;
  std::uint64_t seed = 0;
  std::string failures = "drop";
  double penalty = 0;
  int retries = 0;
  // Of the run that began it; another may have others.
  std::int64_t budget = 0;
  std::string command, service;

  std::string rule_or_default() const;
  json to_json() const;
  static settings from_json(const json& all);
};

/// Options that say what a run is; those that were given can be compared with a log's.
class run_options {
 public:
  void add_to(CLI::App& app);
  /// Of a new run. Throws usage_error.
  settings of_new() const;
  /// Of one that goes on: throws usage_error where an option says something else.
  settings of_log(const settings& kept) const;

 private:
  settings made_;
  parameter_lists lists_;
  std::string file_;
  std::vector<CLI::Option*> parameter_options_;
  struct bound_option {
    CLI::Option* option;
    std::string name;  // in the JSON object
  };
  std::vector<bound_option> bound_;
};

}  // namespace cli
