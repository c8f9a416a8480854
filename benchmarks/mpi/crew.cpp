#include "mpi/crew.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "measure.hpp"
#include "zo/mpi.hpp"

namespace bench {
namespace {

constexpr int dismissed = -1;

}  // namespace

crew::crew(MPI_Comm comm) : comm_(comm) {
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &ranks_);
}

int crew::add(std::function<void()> job) {
  jobs_.push_back(std::move(job));
  return static_cast<int>(jobs_.size()) - 1;
}

double crew::call(int job) {
  say(job);
  MPI_Barrier(comm_);
  return stopwatch_of(timing::wall)(jobs_[static_cast<std::size_t>(job)]);
}

void crew::dismiss() { say(dismissed); }

void crew::say(int job) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(&job, 1, MPI_INT, 0, comm_, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
}

// A blocking wait of MPI would spin.
int crew::next() {
  int job = dismissed;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(&job, 1, MPI_INT, 0, comm_, &request);
  int done = 0;
  MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  while (done == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  }
  return job;
}

void crew::serve() {
  for (int job = next(); job != dismissed; job = next()) {
    MPI_Barrier(comm_);
    try {
      jobs_[static_cast<std::size_t>(job)]();
    } catch (const zo::mpi::error&) {  // thrown in rank 0, too
    }
  }
}

}  // namespace bench
