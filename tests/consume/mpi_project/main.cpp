#include <cstdio>
#include <vector>
#include <zo/mpi.hpp>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  bool ok = false;
  {
    const auto shared = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
    std::vector<double> x(10);
    const auto f = [](std::span<const double> at) {
      double sum = 0;
      for (const double v : at) sum += (v - 1) * (v - 1);
      return sum;
    };
    const auto r = zo::minimize(shared, f, x, zo::rge({.directions = 8}), zo::adam({.rate = 0.1}),
                                {.max_queries = 20'000, .target = 1e-3});
    ok = r.why == zo::status::target_reached;
    if (shared.rank() == 0) std::printf("f = %g after %ld queries\n", r.value, r.queries);
  }
  MPI_Finalize();
  return ok ? 0 : 1;
}
