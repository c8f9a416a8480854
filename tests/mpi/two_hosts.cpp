// two_hosts [for_ever]: a run shared between hosts, by two_hosts.sh. It treats errors as
// docs/mpi.md recommends.
#include <mpi.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>
#include <zo/mpi.hpp>

namespace {

double f(std::span<const double> x) {
  double sum = 0;
  for (const double v : x) sum += v * v * v * v;
  return sum;
}

template <class Policy>
std::vector<double> point_after(const Policy& policy) {
  std::vector<double> x(50, 1.0);
  zo::minimize(policy, f, x, zo::rge({.directions = 8}), zo::adam(), {.max_queries = 1000});
  return x;
}

template <class Policy>
std::size_t hosts_of(const Policy& policy) {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  const std::size_t number = std::hash<std::string>{}(name.data()) % 1'000'003;
  const std::vector<double> all = zo::mpi::gather(policy, static_cast<double>(number));
  return std::set<double>(all.begin(), all.end()).size();
}

void run(bool for_ever) {
  const auto policy =
      zo::mpi::over(MPI_COMM_WORLD, zo::seq, {.wait_seconds = for_ever ? 2.0 : 60.0});
  const std::size_t hosts = hosts_of(policy);
  const bool same = point_after(policy) == point_after(zo::seq);
  if (policy.rank() == 0) {
    std::printf("%zu hosts, %s bits\n", hosts, same ? "the same" : "other");
    std::fflush(stdout);
  }
  const auto slow = [](std::span<const double> x) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return f(x);
  };
  std::vector<double> x(50, 1.0);
  while (for_ever) {
    zo::minimize(policy, slow, x, zo::rge({.directions = 8}), zo::sgd({.rate = 1e-6}),
                 {.max_queries = 1'000'000});
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  try {
    run(argc > 1);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
