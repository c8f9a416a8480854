// The whole run: reconstructor, autoencoder, defenses, attacks, results.
#pragma once

#include "settings.hpp"

namespace reconstruction {

/// Does what the settings ask for, prints the tables and writes the results into s.common.out.
/// Throws std::exception with a sentence for the user, or app::interrupted after Ctrl-C.
void run_experiment(const settings& s, const app::processes& all);

}  // namespace reconstruction
