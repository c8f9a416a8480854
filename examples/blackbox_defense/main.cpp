// blackbox_defense: trains and certifies a denoiser in front of a classifier that only answers
// queries. See --help, and docs/ for the method.
#include <malloc.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "common/interrupt.hpp"
#include "experiment.hpp"
#include "settings.hpp"
#include "stage.hpp"

namespace {

// The first line only: LibTorch appends a stack trace to its messages.
void complain(const std::string& message) {
  const std::string line = message.substr(0, message.find('\n'));
  std::fprintf(stderr, "blackbox_defense: %s\n", line.c_str());
}

// Batches of images are tens of megabytes. By default glibc gives such blocks back to the system at
// each release and has every page cleared again at the next: three quarters of the time of a query.
void keep_large_blocks() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

// Idle threads of libgomp spin for milliseconds, which on a machine with other work makes
// everything several times slower. It reads the limit when it is loaded, hence the second start.
void limit_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "10000", 1) == 0) execv("/proc/self/exe", argv);
}

void prepare(const defense::settings& s) {
  keep_large_blocks();
  torch::set_num_threads(s.threads);
  if (s.device == "cuda" && !torch::cuda::is_available()) {
    throw std::runtime_error(
        "--device cuda: this LibTorch finds no CUDA device; it needs a LibTorch with CUDA and a GPU"
        " that nvidia-smi lists; use --device cpu");
  }
}

}  // namespace

int main(int argc, char** argv) {
  limit_spinning(argv);
  const defense::settings settings = defense::parse(argc, argv);
  try {
    const app::interrupt_guard guard;
    prepare(settings);
    defense::run_experiment(settings);
    return 0;
  } catch (const defense::interrupted& stop) {
    std::fprintf(stderr, "\nStopped. Nothing is lost: the same command with --resume goes on.\n");
    return 128 + stop.signal;
  } catch (const c10::Error& error) {
    complain(error.what_without_backtrace());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return 1;
}
