// Steps of many processes that share an estimate, simulated: shares as zo::mpi deals them, times as
// measured on one machine, messages by a model.
//
// A step of R processes takes
//   what each of them repeats: the comparison of x, for a network the pass and the deal; later the
//     sum of all directions and the update,
//   the slowest share of the queries, each of which takes a measured time with measured jitter,
//   the rounds of messages.
// Nothing overlaps, as in zo::mpi. Every process has one thread and a core of its own.
#pragma once

#include <string>
#include <vector>

#include "mpi/measurements.hpp"
#include "zo/team.hpp"

namespace bench {

struct network {
  std::string name;
  double latency = 0;           // seconds on the wire
  double bytes_per_second = 0;  // of one process
  bool tcp = false;             // messages take the processor as long as those through a kernel
};

/// How answers travel. direct: Open MPI's MPI_Iallgather(v) (coll/libnbc), by which every process
/// sends to every other. doubling: log2 R rounds, as Bruck's algorithm has them.
enum class rounds { direct, doubling };

/// Seconds a process of `ranks` takes for a round in which it receives `bytes` in all: what MPI
/// itself takes is measured, between two processes of one machine.
double round_seconds(const measurements& measured, const network& net, rounds how, int ranks,
                     double bytes);

/// What a process that waits long adds to a round: zo::mpi then looks every 50 microseconds, to
/// which Linux adds 50 by default (timerslack).
inline constexpr double poll_seconds = 100e-6;

/// A kind of query.
struct queries_of_a_kind {
  zo::index_t count = 0;
  double cost = 0;     // by which shares are dealt
  double seconds = 0;  // median
};

/// One step of a workload.
struct shared_step {
  std::string name;
  std::vector<queries_of_a_kind> queries;
  std::vector<double> jitter;  // quantiles of a query's time beside its median
  bool dealt = false;          // by cost, after a pass that all make; else shared evenly
  double dimension = 0;
  double directions = 0;  // that every process sums up
  bool sliced = false;    // what if each process summed its slice of the numbers and sent it round

  zo::index_t count() const;
};

/// The workloads of the documents: `wanted` is rge, large_rge or deepzero.
shared_step step_of(const std::string& wanted, const measurements& measured);

/// Where the time of a step goes, in seconds; the mean of some steps.
struct step_parts {
  double queries = 0;    // all of them, divided by the processes
  double imbalance = 0;  // of the slowest share, beyond that
  double messages = 0;
  double repeated = 0;
  double sum() const { return queries + imbalance + messages + repeated; }
};

class simulation {
 public:
  simulation(const measurements& measured, const network& net, rounds how, const shared_step& step);

  step_parts parts(int ranks) const;
  double speed_up(int ranks) const { return alone_ / parts(ranks).sum(); }
  double efficiency(int ranks) const { return speed_up(ranks) / ranks; }

  /// Most processes, of the tried ones, at which the efficiency is half or more.
  int half_efficient() const;

 private:
  double repeated_seconds(int ranks) const;
  double message_seconds(int ranks) const;

  const measurements& measured_;
  network net_;
  rounds how_;
  shared_step step_;
  std::vector<double> costs_;                 // of the queries
  std::vector<std::vector<double>> seconds_;  // of the queries in each simulated step
  double alone_ = 0;
};

}  // namespace bench
