#include <cstdio>
#include <exception>
#include <vector>
#include <zo/mpi.hpp>

namespace {

void run() {
  const auto shared = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  // Anything that answers queries, the same in every process: here a bowl in 20 dimensions.
  auto f = [](std::span<const double> x) {
    double sum = 0;
    for (const double value : x) sum += (value - 1) * (value - 1);
    return sum;
  };
  std::vector<double> x(20, -1.0);
  zo::rge how({.directions = 32, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
  auto run = zo::minimize(shared, f, x, how, zo::adam({.rate = 0.05}),
                          {.max_queries = 100'000, .target = 1e-6, .seed = 42});
  const auto usage = zo::mpi::usage(shared);  // called by all processes
  if (shared.rank() != 0) return;
  std::printf("f = %.17g after %ld queries: %s\n", run.value, static_cast<long>(run.queries),
              zo::to_string(run.why).data());
  for (const zo::mpi::rank_usage& one : usage) {
    std::printf("%.0f %% of %.3f s waiting, %ld bytes received in %ld rounds\n",
                100 * one.waiting_seconds / one.seconds, one.seconds, static_cast<long>(one.bytes),
                static_cast<long>(one.exchanges));
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  try {
    run();  // the policy is gone before MPI_Finalize
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);  // others may wait for this process
  }
  MPI_Finalize();
}
