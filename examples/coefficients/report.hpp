// Results as a table, CSV, JSON and pictures.
#pragma once

#include <string>
#include <vector>

#include "discovery.hpp"
#include "settings.hpp"

namespace coefficients {

struct method_result {
  std::string name;
  std::vector<discovery> runs;  ///< one a seed
};

struct equation_result {
  const equation* what = nullptr;
  double error_of_truth = 0;  ///< root mean square of solver - data at the true coefficients
  std::vector<method_result> methods;
  const reference* data = nullptr;
  std::vector<double> fit;  ///< the field of the last method's first seed
};

std::string table_text(const std::vector<equation_result>& results, const settings& s);

/// Writes summary.json, curve.csv and the pictures. Returns sentences for the user.
std::vector<std::string> write_results(const std::vector<equation_result>& results,
                                       const settings& s);

/// The names of these files.
std::vector<std::string> result_names(const settings& s);

}  // namespace coefficients
