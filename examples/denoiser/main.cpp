// denoiser: trains a denoiser by queries, about its weights and otherwise. See --help and docs/.
#include <torch/torch.h>

#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program("denoiser", [&](app::processes& all) {
    const denoiser::settings settings = denoiser::parse(argc, argv, all);
    torch::set_num_threads(settings.base.threads);
    denoiser::run_experiment(settings, all);
  });
}
