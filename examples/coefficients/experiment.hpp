// A whole run: every equation, method and seed, then the results.
#pragma once

#include "settings.hpp"

namespace coefficients {

/// Throws what discover() throws, and std::runtime_error where data are missing or wrong.
void run_experiment(const settings& s);

}  // namespace coefficients
