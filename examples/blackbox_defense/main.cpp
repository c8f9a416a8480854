// blackbox_defense: trains and certifies a denoiser in front of a classifier that only answers
// queries. See --help, and docs/ for the method.
#include <torch/torch.h>

#include <stdexcept>

#include "common/process.hpp"
#include "common/processes.hpp"
#include "experiment.hpp"
#include "settings.hpp"

namespace {

void prepare(const defense::settings& s) {
  torch::set_num_threads(s.threads);
  if (s.device == "cuda" && !torch::cuda::is_available()) {
    throw std::runtime_error(
        "--device cuda: this LibTorch finds no CUDA device; it needs a LibTorch with CUDA and a GPU"
        " that nvidia-smi lists; use --device cpu");
  }
}

}  // namespace

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  return app::run_program("blackbox_defense", [&](app::processes& all) {
    const defense::settings settings = defense::parse(argc, argv, all);
    prepare(settings);
    defense::run_experiment(settings, all);
  });
}
