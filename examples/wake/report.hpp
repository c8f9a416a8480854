// Results as tables, CSV, JSON and pictures.
#pragma once

#include <string>
#include <vector>

#include "settings.hpp"
#include "training.hpp"

namespace wake {

/// A method's networks, by seed, and what they make of the test simulations.
struct method_results {
  std::string method;
  std::vector<training_report> trained;  ///< none of src
  std::vector<test_report> tests;        ///< one a network; of src one

  double error() const;                    ///< mean absolute
  double standard_error_of_seeds() const;  ///< NaN with less than two
  double standard_error_of_simulations() const;
};
using results = std::vector<method_results>;

/// Tests the trained networks, and src where it is wanted, in the order of the table.
results test_all(const problem& p, const std::vector<training_report>& trained, const settings& s);

/// Two tables, of the four ways of the paper and CUT, and of the ways to ask a solver, and the
/// order.
std::string table_text(const results& found, const settings& s);

/// Writes summary.json, curve.csv (a row per evaluation), simulations.csv (a row per test and
/// network), wake_flow.png, wake_error.png, error_calls.png and error_time.png into s.out. Returns
/// sentences for the user, such as that gnuplot is missing.
std::vector<std::string> write_results(const problem& p, const results& found, const settings& s);

/// The files that it writes.
std::vector<std::string> result_names();

}  // namespace wake
