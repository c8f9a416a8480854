// The whole run: reference, training by every method, tests, results.
#pragma once

#include "settings.hpp"

namespace wake {

/// Does what the settings ask for, prints the tables and writes the results into s.out. Throws
/// std::exception with a sentence for the user, or app::interrupted after Ctrl-C.
void run_experiment(const settings& s);

}  // namespace wake
