// The whole run: data, training by every estimator, results.
#pragma once

#include "settings.hpp"

namespace deepzero {

/// Does what the settings ask for, prints the table and writes the results into s.out. Throws
/// std::exception with a sentence for the user, or app::interrupted after Ctrl-C. Several processes
/// share the queries; rank 0 prints and writes.
void run_experiment(const settings& s, const app::processes& all);

}  // namespace deepzero
