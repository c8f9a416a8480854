// accidents KIND: a program whose processes fare badly, run by accidents.sh. It treats errors as
// docs/mpi.md recommends.
#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <zo/mpi.hpp>

namespace {

void run(const std::string& kind, int rank) {
  if (kind == "throws_before" && rank == 1) throw std::runtime_error("no such data");
  if (kind == "late" && rank == 1) std::this_thread::sleep_for(std::chrono::hours(1));
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.wait_seconds = 0.5});
  std::vector<double> x(6, 1.0);
  int asked = 0;
  const auto f = [&](std::span<const double> at) {
    if (rank == 1 && ++asked == 9) {
      if (kind == "killed") raise(SIGKILL);
      if (kind == "throws") throw std::runtime_error("the simulator is out of licences");
    }
    if (rank == 1 && asked == 9 && kind == "stuck")
      std::this_thread::sleep_for(std::chrono::hours(1));
    double sum = 0;
    for (const double v : at) sum += v * v;
    return sum;
  };
  const auto r = zo::minimize(policy, f, x, zo::rge({.directions = 8}), zo::sgd({.rate = 1e-2}),
                              {.max_queries = 10'000});
  if (rank == 0) std::printf("done: %s\n", std::string(to_string(r.why)).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "uninitialized") {
    try {
      zo::mpi::over(MPI_COMM_WORLD, zo::seq);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      return 1;
    }
    return 0;
  }
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  try {
    run(argc > 1 ? argv[1] : "", rank);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
