// Many processes that share the queries of every estimate: zo::mpi::over(comm, inner). Optional:
// link zo::mpi; no other header of zo includes it.
//
// Directions are functions of a counter, so only answers travel: 8 bytes a query. Every process has
// x, forms the same gradient and takes the same step.
#pragma once

#include <mpi.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/team.hpp"
#include "zo/zo.hpp"

namespace zo::mpi {

/// What went wrong between processes; thrown by all of them, but for those that are stuck or gone.
/// After a wait that took too long the communicator is of no more use, and MPI_Finalize could wait
/// for ever: say what() and call MPI_Abort. After all other errors the processes are in step and
/// may go on.
struct [[gnu::visibility("default")]] error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct over_options {
  /// Longest wait for another process, above 0: longer than the longest share of an estimate takes.
  double wait_seconds = 3600;
  /// x itself is compared between the processes at every so many estimates, at least 1. That the
  /// processes ask for the same estimate is compared at each one.
  index_t compare_every = 1;
};

/// What sharing cost one process since zo::mpi::over.
struct rank_usage {
  double seconds = 0;          ///< all of them
  double waiting_seconds = 0;  ///< those of waiting for others: who waits least is slowest
  index_t exchanges = 0;       ///< rounds of messages
  index_t bytes = 0;           ///< received from other processes
};

namespace detail {

std::shared_ptr<zo::detail::team> make_team(MPI_Comm comm, const over_options& options);
std::vector<rank_usage> usage(zo::detail::team& team);
void broadcast(zo::detail::team& team, void* data, std::size_t bytes);
std::vector<double> gather(zo::detail::team& team, double mine);

template <class Policy>
zo::detail::team& team_of(const Policy& policy) {
  if constexpr (zo::detail::team_policy<Policy>) {
    return policy.team();
  } else {
    zo::detail::require(policy.team() != nullptr,
                        "zo::mpi: this policy is not shared; make it by zo::mpi::over");
    return *policy.team();
  }
}

template <class Inner>
auto shared(const Inner& inner, std::shared_ptr<zo::detail::team> team);

}  // namespace detail

/// Estimates under `Inner`, shared between processes. Models zo::execution_policy.
template <execution_policy Inner>
class policy {
 public:
  policy(const Inner& inner, std::shared_ptr<zo::detail::team> team)
      : inner_(inner), team_(std::move(team)) {}

  /// Threads of this process; the processes may have different numbers.
  int threads() const { return inner_.threads(); }
  int rank() const { return team_->rank(); }
  int ranks() const { return team_->ranks(); }
  zo::detail::team& team() const { return *team_; }

  /// The same processes under another inner policy: what over() gives, but not collective.
  template <class Other>
  auto with(const Other& inner) const {
    return detail::shared(inner, team_);
  }

 private:
  Inner inner_;
  std::shared_ptr<zo::detail::team> team_;
};

template <class Inner>
auto detail::shared(const Inner& inner, std::shared_ptr<zo::detail::team> team) {
  if constexpr (execution_policy<Inner>) {
    return policy<Inner>(inner, std::move(team));
  } else {
    return inner.with_team(std::move(team));
  }
}

/// A policy for zo::estimate, zo::minimize and zo::boundary: the queries of each estimate are
/// shared by the processes of `comm`, each of which asks its part under `inner` (zo::seq, zo::par,
/// zo::cuda::on). All processes must make the same calls with the same arguments and the same x;
/// the results are the same bits as those of `inner` in one process, whatever the number of
/// processes and threads.
///
/// Collective: called by all processes of `comm`, after MPI_Init, and before MPI_Finalize the
/// policy and its copies must be gone. All MPI calls are made by the thread that calls. Points are
/// shared evenly, probes of coordinates by cost (zo::priced_objective); a coordinate objective
/// prepares in every process, which is counted as one query. After a failed query the queries that
/// were made are counted, which may be more than one process would have made. An exception of the
/// objective, in whatever process, is thrown in all of them: as zo::mpi::error that names the rank,
/// with the exception itself nested where it was thrown. Traffic: each process receives 8 bytes a
/// query, and 8 bytes a process for each call. Memory: 8 bytes for each of 4,096 queries a process.
/// Throws std::invalid_argument for bad options, zo::mpi::error where MPI does.
template <class Inner>
auto over(MPI_Comm comm, const Inner& inner, const over_options& options = {}) {
  return detail::shared(inner, detail::make_team(comm, options));
}

/// Gives all processes what is in `values` of rank 0: the start of a run, a file that only rank 0
/// can read. Collective.
template <class Policy, class T>
requires std::is_trivially_copyable_v<T>
void broadcast(const Policy& policy, std::span<T> values) {
  detail::broadcast(detail::team_of(policy), values.data(), values.size_bytes());
}

/// What every process says, by rank: to add up what each has counted. Collective.
template <class Policy>
std::vector<double> gather(const Policy& policy, double mine) {
  return detail::gather(detail::team_of(policy), mine);
}

/// Shares work that is no estimate: each process calls ask(first, mine), which fills `mine`, the
/// answers from number `first` on, and gets the answers of the others. A piece of `piece` answers
/// is not divided; the last one may be shorter. What ask throws in one process is thrown in all, as
/// by estimates. Collective.
template <class Policy, class Ask>
void share(const Policy& policy, std::span<double> answers, index_t piece, const Ask& ask) {
  zo::detail::require(piece >= 1, "zo::mpi::share: piece must be at least 1, got ", piece);
  zo::detail::ask_share(detail::team_of(policy), answers, ask, piece);
}

/// By rank, to be shown by one of them. Collective.
template <class Policy>
std::vector<rank_usage> usage(const Policy& policy) {
  return detail::usage(detail::team_of(policy));
}

}  // namespace zo::mpi
