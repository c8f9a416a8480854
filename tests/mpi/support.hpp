// What the tests of zo::mpi share.
#pragma once

#include "../support.hpp"
#include "zo/mpi.hpp"

namespace testing_zo {

inline int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

inline int world_size() {
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  return ranks;
}

/// What all processes counted.
inline index_t over_all_ranks(index_t mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  return mine;
}

/// The message of the zo::mpi::error that `call` throws; empty if it throws none.
template <class Call>
std::string error_between_ranks(const Call& call) {
  try {
    call();
  } catch (const zo::mpi::error& error) {
    return error.what();
  }
  return {};
}

/// use(policy) for shared policies of one and of several threads.
template <class Use>
void for_each_shared_policy(const Use& use) {
  use(zo::mpi::over(MPI_COMM_WORLD, zo::seq));
  use(zo::mpi::over(MPI_COMM_WORLD, zo::par.with_threads(2)));
}

}  // namespace testing_zo
