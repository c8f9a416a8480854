// coefficients: finds the coefficients of equations by questions to their solver. See --help, and
// docs/coefficients.md.
#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program("coefficients", [&](app::processes& all) {
    coefficients::run_experiment(coefficients::parse(argc, argv, all));
  });
}
