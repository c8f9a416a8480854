// blackbox_defense: trains and certifies a denoiser in front of a classifier that only answers
// queries. See --help, and docs/ for the method.
#include <torch/torch.h>

#include <cstdio>
#include <exception>
#include <string>

#include "common/interrupt.hpp"
#include "common/process.hpp"
#include "common/resume.hpp"
#include "experiment.hpp"
#include "settings.hpp"

namespace {

// The first line only: LibTorch appends a stack trace to its messages.
void complain(const std::string& message) {
  const std::string line = message.substr(0, message.find('\n'));
  std::fprintf(stderr, "blackbox_defense: %s\n", line.c_str());
}

void prepare(const defense::settings& s) {
  app::keep_large_blocks();
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
  const defense::settings settings = defense::parse(argc, argv);
  try {
    const app::interrupt_guard guard;
    prepare(settings);
    defense::run_experiment(settings);
    return 0;
  } catch (const app::interrupted& stop) {
    std::fprintf(stderr, "\nStopped. Nothing is lost: the same command with --resume goes on.\n");
    return 128 + stop.signal;
  } catch (const c10::Error& error) {
    complain(error.what_without_backtrace());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return 1;
}
