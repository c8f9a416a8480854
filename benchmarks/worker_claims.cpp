// How much of their time workers answer, where answers take from 1 to 10 ms. They sleep meanwhile,
// so that this needs no cores and means the same on a machine with other work.
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>
#include <zo/zo.hpp>

#include "claims.hpp"

namespace bench {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point then) {
  return std::chrono::duration<double>(clock::now() - then).count();
}

constexpr int workers = 8;

// `directions` and f(x) are asked in each estimate; a step is made with the first `answers`, 0:
// all.
outcome busy_share(zo::index_t directions, zo::index_t answers, const effort& effort) {
  const int runs = effort.smoke ? 1 : effort.least_pairs;
  const zo::index_t budget = effort.smoke ? directions + 2 : 1024;
  std::vector<double> had, worked;  // seconds of all workers
  for (int run = 0; run < runs; ++run) {
    std::atomic<std::uint32_t> calls{0};
    std::atomic<double> busy{0};
    const auto f = [&](std::span<const double> x) {
      const clock::time_point began = clock::now();
      const zo::stream dice{.seed = static_cast<std::uint64_t>(run), .number = calls++};
      const double milliseconds = std::pow(10, dice.words(0).w0 * 0x1p-32);
      std::this_thread::sleep_until(began +
                                    std::chrono::duration_cast<clock::duration>(
                                        std::chrono::duration<double>(1e-3 * milliseconds)));
      busy.fetch_add(seconds_since(began));
      return x[0] * x[0];
    };
    std::vector<double> x(10, 1.0);
    const clock::time_point began = clock::now();
    const auto r = zo::minimize_async(f, x, zo::rge({.directions = directions}, zo::rademacher{}),
                                      zo::sgd({.rate = 1e-3}), {.max_queries = budget},
                                      {.workers = workers, .answers = answers});
    had.push_back(workers * seconds_since(began) / static_cast<double>(r.queries));
    worked.push_back(busy / static_cast<double>(r.queries));
    if (r.queries != calls) throw std::runtime_error("queries were miscounted");
  }
  return times_as_fast(summary_of(had, worked), 1e6);
}

}  // namespace

std::vector<claim> worker_claims() {
  const auto share = [](zo::index_t directions, zo::index_t answers) {
    return [=](const effort& how) { return busy_share(directions, answers, how); };
  };
  return {
      {"8 workers, answers of 1 to 10 ms, steps with the first 17 of 24", "the answers alone",
       "ms/answer", bar::at_least, 0.9, share(23, 17)},
      {"The same workers, steps with all 24", "the answers alone", "ms/answer", bar::none, 0,
       share(23, 0)},
      {"The same workers, steps with all 96", "the answers alone", "ms/answer", bar::none, 0,
       share(95, 0)},
  };
}

}  // namespace bench
