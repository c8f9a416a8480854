// The whole run: start, trainings, certificates, and what comes out.
#pragma once

#include "common/processes.hpp"
#include "settings.hpp"

namespace denoiser {

/// Runs what the settings ask for, prints the table and writes the files. Throws app::usage_error,
/// app::interrupted and std::runtime_error with a sentence.
void run_experiment(const settings& s, const app::processes& all);

}  // namespace denoiser
