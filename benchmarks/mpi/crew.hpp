// The processes of a benchmark: rank 0 measures, and the others sleep until it calls for them, so
// that they take nothing of the machine while it measures itself alone.
#pragma once

#include <mpi.h>

#include <functional>
#include <vector>

namespace bench {

class crew {
 public:
  explicit crew(MPI_Comm comm);

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }

  /// Something that all ranks do together: added by all of them in the same order, before `serve`
  /// and `call`. Returns its number.
  int add(std::function<void()> job);

  /// Rank 0: all begin this job at the same time. Seconds of rank 0, from that begin on.
  double call(int job);
  /// Rank 0: the end of `serve`.
  void dismiss();

  /// The other ranks: jobs, until dismissed. An error between the ranks is left to rank 0 to tell.
  void serve();

 private:
  void say(int job);
  int next();

  MPI_Comm comm_;
  int rank_ = 0, ranks_ = 1;
  std::vector<std::function<void()>> jobs_;
};

}  // namespace bench
