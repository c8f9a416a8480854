// The whole run: classifier, autoencoder, defenses, certificates, results.
#pragma once

#include "settings.hpp"

namespace defense {

/// Does what the settings ask for, prints the table and writes the results into s.out. Throws
/// std::exception with a sentence for the user, or app::interrupted after Ctrl-C.
void run_experiment(const settings& s, const app::processes& all);

}  // namespace defense
