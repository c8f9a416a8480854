// zo_mpi_costs FILE: measures what the simulation of many processes (zo_mpi_scaling) starts from:
// the times of single queries, of what every process repeats, and of messages between two
// processes of this machine. zo_mpi_costs FILE ROW: only messages, as another row of that file. Run
// by mpirun -n 2.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>
#include <zo/mpi.hpp>

#include "accumulation.hpp"
#include "context.hpp"
#include "measure.hpp"
#include "mpi/crew.hpp"
#include "mpi/measurements.hpp"
#include "mpi/workloads.hpp"

namespace bench {
namespace {

double quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

// 0 %, 0.5 %, … 100 %: so fine that one outlier, between which and its neighbour the simulation
// draws, stays rare.
std::vector<double> quantiles(std::vector<double> values) {
  std::ranges::sort(values);
  std::vector<double> found;
  for (int k = 0; k <= 200; ++k) found.push_back(quantile(values, k / 200.0));
  return found;
}

std::vector<double> seconds_of(timing clock, int repetitions, const std::function<void()>& work) {
  const stopwatch watch = stopwatch_of(clock);
  std::vector<double> seconds;
  for (int repetition = 0; repetition < repetitions; ++repetition) seconds.push_back(watch(work));
  std::ranges::sort(seconds);
  return seconds;
}

double median_seconds(int repetitions, const std::function<void()>& work) {
  return quantile(seconds_of(timing::thread, repetitions, work), 0.5);
}

// Between two processes, each of which must have a core: the fastest hundredth, because on a
// machine with other work most rounds wait for one.
double undisturbed_seconds(int repetitions, const std::function<void()>& work) {
  return quantile(seconds_of(timing::wall, repetitions, work), 0.01);
}

// Between ranks 0 and 1; only rank 0's numbers count.
struct message_times {
  double latency = 0;   // of 8 bytes, one way
  double one_more = 0;  // of many small messages, for each
  double per_byte = 0;
};

class messages {
 public:
  explicit messages(int rank) : rank_(rank), data_(1 << 20) {}

  message_times measure() {
    message_times found;
    found.latency = undisturbed_seconds(2000, [&] { to_and_fro(8); }) / 2;
    constexpr int many = 1000;
    found.one_more = undisturbed_seconds(100, [&] { exchange(many); }) / many;
    const int large = static_cast<int>(data_.size());
    const double both = undisturbed_seconds(200, [&] { to_and_fro(large); });
    found.per_byte = (both / 2 - found.latency) / large;
    return found;
  }

 private:
  void to_and_fro(int bytes) {
    const auto send = [&] {
      MPI_Send(data_.data(), bytes, MPI_BYTE, 1 - rank_, 0, MPI_COMM_WORLD);
    };
    const auto receive = [&] {
      MPI_Recv(data_.data(), bytes, MPI_BYTE, 1 - rank_, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    };
    if (rank_ == 0) send();
    receive();
    if (rank_ != 0) send();
  }

  // What a direct exchange with `count` others does: a receive and a send for each.
  void exchange(int count) {
    std::vector<MPI_Request> requests(2 * static_cast<std::size_t>(count));
    for (std::size_t k = 0; k < requests.size(); k += 2) {
      MPI_Irecv(data_.data() + 8 * k, 8, MPI_BYTE, 1 - rank_, 0, MPI_COMM_WORLD, &requests[k]);
      MPI_Isend(data_.data(), 8, MPI_BYTE, 1 - rank_, 0, MPI_COMM_WORLD, &requests[k + 1]);
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }

  int rank_;
  std::vector<char> data_;
};

// What an estimate of two queries, which cost nothing, takes longer when it is shared.
double sharing_seconds() {
  const auto f = [](std::span<const double> x) { return x[0]; };
  const std::vector<double> x(100, 0.5);
  std::vector<double> gradient(x.size());
  zo::workspace<double> memory;
  const zo::rge how({.directions = 1}, zo::gaussian{}, zo::central{});
  const auto seconds_under = [&](const auto& policy) {
    return undisturbed_seconds(
        2000, [&] { zo::estimate(policy, f, x, gradient, how, {.seed = 1}, memory); });
  };
  return seconds_under(zo::mpi::over(MPI_COMM_WORLD, zo::seq)) - seconds_under(zo::seq);
}

// Queries of the RGE workload, but for those during which others had the processor.
std::vector<double> query_seconds(rge_work& work) {
  const std::vector<float> x(static_cast<std::size_t>(work.dimension()), 0.5F);
  const stopwatch clock = stopwatch_of(timing::wall);
  std::vector<double> found;
  for (int tries = 0; tries < 20'000 && found.size() < 1000; ++tries) {
    const double waited = waited_for_processor();
    const double took = clock([&] { keep(work(x)); });
    if (waited_for_processor() - waited < 1e-6) found.push_back(took);
  }
  if (found.empty()) throw std::runtime_error("other programs leave this one no whole millisecond");
  return found;
}

// For each number of a vector.
void measure_repeated(measurements& all) {
  constexpr zo::index_t d = 1'000'000, q = 16;
  std::vector<float> g(d), x(d, 0.5F);
  accumulation<zo::gaussian, float> add(d, q, 1);
  const auto each = [&](const std::string& name, double items, const std::function<void()>& work) {
    all.add(name, {median_seconds(15, work) / items});
  };
  each("direction_number", double{d} * double{q}, [&] { keep(add()); });
  each("compared_number", double{d},
       [&] { keep(zo::detail::fingerprint().add(std::span<const float>(x)).value()); });
  auto adam = zo::adam().start<float>(d);
  each("updated_number", double{d}, [&] {
    adam.step(zo::seq, std::span<float>(x), std::span<const float>(g));
    keep(x[0]);
  });
}

void measure_network(measurements& all) {
  network_work work(32, false);
  all.add("prepare", {work.time_prepare(15)});
  std::vector<double> jitter;
  std::vector<double> costs;
  for (const probe_time& one : work.time_probes(8, 8)) {
    const double middle = one.median();
    all.add("probe:" + one.tensor, {static_cast<double>(one.active), one.cost, middle});
    // An interrupt is many times as long as a probe of the last layer, and those take no time.
    if (middle > 1e-4) {
      for (const double seconds : one.seconds) jitter.push_back(seconds / middle);
    }
    costs.insert(costs.end(), static_cast<std::size_t>(one.active), one.cost);
  }
  all.add("probe_jitter", quantiles(jitter));
  for (const int ranks : {2, 100, 10'000}) {
    const double seconds = median_seconds(5, [&] {
      const auto dealt =
          zo::detail::deal(static_cast<zo::index_t>(costs.size()), ranks,
                           [&](zo::index_t k) { return costs[static_cast<std::size_t>(k)]; });
      keep(dealt.order[0]);
    });
    all.add("deal", {static_cast<double>(ranks), seconds / static_cast<double>(costs.size())});
  }
}

std::vector<double> numbers(const message_times& of) {
  return {of.latency, of.one_more, of.per_byte};
}

void run(const std::string& file, const std::string& row) {
  crew all(MPI_COMM_WORLD);
  if (all.ranks() != 2)
    throw std::runtime_error("this needs two processes: mpirun -n 2 zo_mpi_costs");
  message_times between;
  double sharing = 0;
  const int measure_messages = all.add([&] {
    between = messages(all.rank()).measure();
    sharing = sharing_seconds();
  });
  if (all.rank() != 0) return all.serve();
  measurements found;
  all.call(measure_messages);
  if (!row.empty()) {
    found.add(row, numbers(between));
    found.append(file);
    return all.dismiss();
  }
  found.add("message", numbers(between));
  found.add("sharing", {sharing});
  const auto alone = zo::mpi::over(MPI_COMM_SELF, zo::seq);
  rge_work rge(alone, false);
  found.add("query", quantiles(query_seconds(rge)));
  measure_repeated(found);
  measure_network(found);
  std::string heading =
      "# Seconds, by zo_mpi_costs; benchmarks/mpi/simulation.hpp says what they mean.\n";
  for (const auto& [name, value] : context()) heading += "# " + name + ": " + value + "\n";
  found.write(file, heading);
  all.dismiss();
}

}  // namespace
}  // namespace bench

int main(int count, char** values) {
  if (count < 2 || count > 3 || values[1][0] == '-') {
    std::fprintf(stderr, "Usage: mpirun -n 2 zo_mpi_costs FILE [ROW]\n");
    return 2;
  }
  MPI_Init(&count, &values);
  try {
    bench::run(values[1], count > 2 ? values[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_mpi_costs: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  MPI_Finalize();
  return 0;
}
