// deepzero: trains networks by forward passes alone. See --help, and docs/deepzero.md.
#include <cstdio>
#include <exception>
#include <string>

#include "common/interrupt.hpp"
#include "common/process.hpp"
#include "common/resume.hpp"
#include "experiment.hpp"
#include "settings.hpp"

int main(int argc, char** argv) {
  app::limit_spinning(argv);
  const deepzero::settings settings = deepzero::parse(argc, argv);
  try {
    const app::interrupt_guard guard;
    app::keep_large_blocks();
    deepzero::run_experiment(settings);
    return 0;
  } catch (const app::interrupted& stop) {
    std::fprintf(stderr, "\nStopped. Nothing is lost: the same command with --resume goes on.\n");
    return 128 + stop.signal;
  } catch (const std::exception& error) {
    // The first line only: LibTorch appends a stack trace to its messages.
    const std::string message = error.what();
    std::fprintf(stderr, "deepzero: %s\n", message.substr(0, message.find('\n')).c_str());
  }
  return 1;
}
