// A run with a log, for tests that end it: run <log> <budget> <asked> [bytes]. Every question
// appends a byte to the file <asked>; with [bytes] the log may not grow beyond. Prints x, and 3 is
// the exit code where the log could not be written.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "zo/journal.hpp"
#include "zo/zo.hpp"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  if (argc > 4) {
    const rlimit limit{std::strtoul(argv[4], nullptr, 10), RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
  }
  const int counter = ::open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0666);
  const auto f = [&](std::span<const double> x) {
    if (::write(counter, ".", 1) != 1) std::abort();
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    double sum = 0;
    for (const double one : x) sum += (one - 1) * (one - 1);
    return sum;
  };
  std::vector<double> x(5, 0.0);
  try {
    zo::journal log(argv[1], {.wait = std::chrono::seconds(5)});
    const auto r = zo::minimize_async(f, x, zo::rge({.directions = 6}), zo::adam({.rate = 0.1}),
                                      {.max_queries = std::atol(argv[2]), .seed = 2, .log = &log},
                                      {.workers = 2});
    for (const double one : x) std::printf("%.17g ", one);
    std::printf("%.17g %ld\n", r.value, static_cast<long>(r.queries));
    return 0;
  } catch (const zo::journal_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
