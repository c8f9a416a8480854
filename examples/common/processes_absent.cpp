// Without MPI: one process.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "common/processes.hpp"

namespace app {

struct processes::link {};

processes::processes() = default;
processes::processes(processes&&) noexcept = default;
processes::~processes() = default;

processes processes::join() {
  const int ranks = detail::by_launcher().ranks;
  if (ranks == 1) return {};
  throw std::runtime_error(
      "built without MPI, but started as " + std::to_string(ranks) +
      " processes, which would overwrite each other's files: start it without mpirun or srun, or "
      "install MPI (Debian: libopenmpi-dev) and build again");
}

int processes::rank() const { return 0; }
int processes::ranks() const { return 1; }

int processes::threads() const {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::vector<double> processes::gather(double mine) const { return {mine}; }
void processes::broadcast(std::vector<std::uint8_t>&) const {}

void processes::share(std::span<double> answers, zo::index_t,
                      const std::function<void(zo::index_t, std::span<double>)>& ask) const {
  ask(0, answers);
}

std::vector<rank_usage> processes::usage() const { return {}; }

void processes::fail(const std::string& program, const std::string& message, int code) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
  std::exit(code);
}

}  // namespace app
