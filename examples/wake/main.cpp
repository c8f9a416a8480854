// wake: a coarse flow, corrected by a network in the loop. See --help, and docs/wake.md.
#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program(
      "wake", [&](app::processes& all) { wake::run_experiment(wake::parse(argc, argv, all)); });
}
