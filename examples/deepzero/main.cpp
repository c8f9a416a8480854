// deepzero: trains networks by forward passes alone. See --help, and docs/deepzero.md.
#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program("deepzero", [&](app::processes& all) {
    deepzero::run_experiment(deepzero::parse(argc, argv, all), all);
  });
}
