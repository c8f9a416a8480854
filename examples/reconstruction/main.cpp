// reconstruction: defends a network that reconstructs images from linear measurements and only
// answers queries. See --help, and docs/ for the method.
#include <ATen/Parallel.h>

#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program("reconstruction", [&](app::processes& all) {
    const reconstruction::settings settings = reconstruction::parse(argc, argv, all);
    at::set_num_threads(settings.common.threads);
    reconstruction::run_experiment(settings, all);
  });
}
