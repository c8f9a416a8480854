// What an estimate costs beyond the evaluations of the objective themselves.
#include <algorithm>
#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "allocations.hpp"
#include "busy_work.hpp"
#include "claims.hpp"

namespace bench {
namespace {

struct one_by_one {
  busy_work work;
  double operator()(std::span<const float> x) const { return work(x); }
  void bare(zo::points<float> candidates) const {
    for (zo::index_t k = 0; k < candidates.count; ++k) keep(work(candidates[k]));
  }
};

struct in_batches {
  busy_work work;
  void operator()(zo::points<float> candidates, std::span<double> losses) const {
    for (zo::index_t k = 0; k < candidates.count; ++k) {
      losses[static_cast<std::size_t>(k)] = work(candidates[k]);
    }
  }
  void bare(zo::points<float> candidates) const {
    for (zo::index_t k = 0; k < candidates.count; ++k) keep(work(candidates[k]));
  }
};

template <class Objective, class How>
outcome overhead(const Objective& objective, zo::index_t dimension, const How& how,
                 const effort& effort) {
  const std::vector<float> x(static_cast<std::size_t>(dimension), 0.5f);
  std::vector<float> gradient(x.size());
  zo::workspace<float> memory;
  std::uint64_t step = 0;
  const auto ours = [&] {
    zo::estimate(zo::seq, objective, x, gradient, how, {.seed = 1, .step = step++}, memory);
  };
  const zo::index_t queries = how.queries(dimension);
  const std::vector<float> copies(static_cast<std::size_t>(queries * dimension), 0.5f);
  const auto bare = [&] { objective.bare({copies, queries, dimension}); };
  return times_the_bare_cost(compare(timing::thread, effort, ours, bare),
                             static_cast<double>(queries) * 1e3);
}

void keep_worse(outcome& worst, const outcome& next, const std::string& which) {
  if (next.ratio <= worst.ratio) return;
  worst = next;
  worst.note = "worst: " + which;
}

// All distributions and schemes; the time of one claim is shared among them.
template <class Objective>
outcome worst_rge(double seconds, zo::index_t dimension, zo::index_t directions, effort effort) {
  effort.total_seconds /= 3;
  const Objective objective{busy_work::lasting(seconds)};
  const zo::rge_options options{.directions = directions, .smoothing = 1e-3};
  outcome worst;
  const auto both = [&](auto distribution, const std::string& name) {
    const auto f =
        overhead(objective, dimension, zo::rge(options, distribution, zo::forward{}), effort);
    keep_worse(worst, f, name + ", forward");
    const auto c =
        overhead(objective, dimension, zo::rge(options, distribution, zo::central{}), effort);
    keep_worse(worst, c, name + ", central");
  };
  both(zo::gaussian{}, "Gaussian");
  both(zo::rademacher{}, "Rademacher");
  both(zo::sphere{}, "sphere");
  return worst;
}

template <class Objective>
outcome worst_cge(double seconds, zo::index_t dimension, zo::cge_options options, effort effort) {
  const Objective objective{busy_work::lasting(seconds)};
  outcome worst;
  keep_worse(worst, overhead(objective, dimension, zo::cge(options, zo::forward{}), effort),
             "forward");
  keep_worse(worst, overhead(objective, dimension, zo::cge(options, zo::central{}), effort),
             "central");
  return worst;
}

// Allocations of later estimates, when an earlier one has sized the workspace.
template <class How>
double allocations_per_query(const How& how) {
  auto f = [](std::span<const float> x) { return static_cast<double>(x[0]); };
  const std::vector<float> x(100, 0.5f);
  std::vector<float> gradient(x.size());
  zo::workspace<float> memory;
  const auto estimate = [&](std::uint64_t step) {
    return zo::estimate(zo::seq, f, x, gradient, how, {.step = step}, memory).queries;
  };
  estimate(0);
  const long before = allocations();
  zo::index_t queries = 0;
  for (std::uint64_t step = 1; step <= 100; ++step) queries += estimate(step);
  return static_cast<double>(allocations() - before) / static_cast<double>(queries);
}

outcome no_allocations(const effort&) {
  const double most =
      std::max({allocations_per_query(zo::rge({.directions = 1}, zo::gaussian{}, zo::forward{})),
                allocations_per_query(zo::rge({.directions = 16}, zo::rademacher{}, zo::central{})),
                allocations_per_query(zo::rge({.directions = 16}, zo::sphere{}, zo::central{})),
                allocations_per_query(zo::cge({}, zo::forward{})),
                allocations_per_query(zo::cge({}, zo::central{}))});
  outcome o;
  o.ours = o.ratio = o.low = o.high = most;
  o.note = "counted; ratio: allocations per query";
  return o;
}

}  // namespace

std::vector<claim> overhead_claims() {
  constexpr double microsecond = 1e-6, millisecond = 1e-3;
  return {
      {"RGE of a batch objective, 1 ms a query, d = 10,000, q = 8",
       "bare evaluations",
       "us/query",
       bar::at_most,
       {1.03, 1.06},
       [](const effort& how) { return worst_rge<in_batches>(millisecond, 10'000, 8, how); }},
      {"CGE of a batch objective, 1 ms a query, d = 10,000, 16 coordinates", "bare evaluations",
       "us/query", bar::at_most, 1.03,
       [](const effort& how) {
         return worst_cge<in_batches>(millisecond, 10'000,
                                      {.coordinates = zo::random_coordinates{16}}, how);
       }},
      {"RGE of a scalar objective, 1 us a query, d = 100, q = 16",
       "bare evaluations",
       "us/query",
       bar::at_most,
       {1.5, 2.2},
       [](const effort& how) { return worst_rge<one_by_one>(microsecond, 100, 16, how); }},
      {"RGE of a scalar objective, 1 us a query, d = 100, q = 1",
       "bare evaluations",
       "us/query",
       bar::at_most,
       {1.5, 2.2},
       [](const effort& how) { return worst_rge<one_by_one>(microsecond, 100, 1, how); }},
      {"CGE of a scalar objective, 1 us a query, d = 100", "bare evaluations", "us/query",
       bar::at_most, 1.5,
       [](const effort& how) { return worst_cge<one_by_one>(microsecond, 100, {}, how); }},
      {"Allocations per query of a scalar objective", "none", "allocations/query", bar::at_most, 0,
       no_allocations},
  };
}

}  // namespace bench
