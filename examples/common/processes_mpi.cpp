// With MPI, which is begun only for several processes.
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <zo/mpi.hpp>

#include "common/processes.hpp"

namespace app {

struct processes::link {
  zo::mpi::policy<zo::sequential_policy> policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
};

namespace {

int alone_threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

// Each core is divided by the processes of this machine that may use it.
int share_of_cores() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) return 1;
  MPI_Comm here = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  int neighbours = 1;
  MPI_Comm_size(here, &neighbours);
  std::vector<cpu_set_t> sets(static_cast<std::size_t>(neighbours));
  MPI_Allgather(&mine, sizeof mine, MPI_BYTE, sets.data(), sizeof mine, MPI_BYTE, here);
  MPI_Comm_free(&here);
  double cores = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine)) continue;
    cores += 1.0 / static_cast<double>(std::ranges::count_if(
                       sets, [core](const cpu_set_t& set) { return CPU_ISSET(core, &set); }));
  }
  constexpr double rounding = 1e-6;
  return std::max(1, static_cast<int>(cores + rounding));
}

}  // namespace

processes::processes() = default;
processes::processes(processes&&) noexcept = default;

processes::~processes() {
  if (!link_) return;
  link_.reset();  // its communicator goes before MPI does
  MPI_Finalize();
}

processes processes::join() {
  processes all;
  const int launched = detail::by_launcher().ranks;
  if (launched == 1) return all;
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks != launched) {
    MPI_Finalize();
    throw std::runtime_error("started as " + std::to_string(launched) +
                             " processes, of which MPI finds " + std::to_string(ranks) +
                             ": use the mpirun of the MPI that this program was built with");
  }
  all.link_ = std::make_unique<link>();
  return all;
}

const zo::mpi::policy<zo::sequential_policy>& processes::policy() const { return link_->policy; }

int processes::rank() const { return link_ ? policy().rank() : 0; }
int processes::ranks() const { return link_ ? policy().ranks() : 1; }
int processes::threads() const { return link_ ? share_of_cores() : alone_threads(); }

std::vector<double> processes::gather(double mine) const {
  return link_ ? zo::mpi::gather(policy(), mine) : std::vector<double>{mine};
}

void processes::broadcast(std::vector<std::uint8_t>& bytes) const {
  if (!link_) return;
  std::uint64_t size = bytes.size();
  zo::mpi::broadcast(policy(), std::span(&size, 1));
  bytes.resize(size);
  zo::mpi::broadcast(policy(), std::span(bytes));
}

void processes::share(std::span<double> answers, zo::index_t piece,
                      const std::function<void(zo::index_t, std::span<double>)>& ask) const {
  if (!link_) {
    ask(0, answers);
  } else {
    zo::mpi::share(policy(), answers, piece, ask);
  }
}

std::vector<rank_usage> processes::usage() const {
  std::vector<rank_usage> found;
  if (!link_) return found;
  for (const zo::mpi::rank_usage& one : zo::mpi::usage(policy())) {
    found.push_back({one.seconds, one.waiting_seconds, one.bytes});
  }
  return found;
}

void processes::fail(const std::string& program, const std::string& message, int code) {
  if (!link_) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
    std::exit(code);
  }
  std::string name = program;
  if (rank() != 0) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    name += ": rank " + std::to_string(rank());
  }
  std::fprintf(stderr, "%s: %s\n", name.c_str(), message.c_str());
  MPI_Abort(MPI_COMM_WORLD, code);
  std::exit(code);
}

}  // namespace app
