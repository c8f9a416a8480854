// Whole estimates of an objective that costs nothing: what the library itself takes for a query.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "registered.hpp"

namespace bench {
namespace {

using benchmark::Counter;

template <class T, class Policy, class How>
void run(benchmark::State& state, const Policy& policy, const How& how) {
  auto free = [](std::span<const T> x) { return static_cast<double>(x[0]); };
  const zo::index_t d = state.range(0);
  const std::vector<T> x(static_cast<std::size_t>(d), T(0.5));
  std::vector<T> gradient(x.size());
  zo::workspace<T> memory;
  std::uint64_t step = 0;
  for (auto _ : state) {
    zo::estimate(policy, free, x, gradient, how, {.seed = 1, .step = step++}, memory);
    benchmark::ClobberMemory();
  }
  const auto queries =
      static_cast<double>(how.queries(d)) * static_cast<double>(state.iterations());
  const double coordinates = queries * static_cast<double>(d);
  state.counters["queries/s"] = Counter(queries, Counter::kIsRate);
  state.counters["elements/s"] = Counter(coordinates, Counter::kIsRate);
  // Read x, write a candidate.
  state.counters["GB/s"] = Counter(coordinates * 2 * sizeof(T) * 1e-9, Counter::kIsRate);
}

template <class T, class Policy, class D, class S>
void rge(benchmark::State& state, const Policy& policy, D distribution, S scheme) {
  run<T>(state, policy, zo::rge({.directions = state.range(1)}, distribution, scheme));
}

template <class T, class Policy, class S>
void cge(benchmark::State& state, const Policy& policy, S scheme) {
  run<T>(state, policy, zo::cge({}, scheme));
}

// The policy and the scalar of a group of benchmarks, and how they are called in names.
template <class T, class Policy>
struct group {
  Policy policy;
  std::string suffix;

  template <class D, class S>
  void add_rge(const std::string& name, D distribution, S scheme) const {
    benchmark::RegisterBenchmark(("rge/" + name + suffix).c_str(), rge<T, Policy, D, S>, policy,
                                 distribution, scheme)
        ->ArgNames({"d", "q"})
        ->ArgsProduct({{100, 10'000, 1'000'000}, {1, 16}})
        ->UseRealTime();
  }
  template <class S>
  void add_cge(const std::string& name, S scheme) const {
    benchmark::RegisterBenchmark(("cge/" + name + suffix).c_str(), cge<T, Policy, S>, policy,
                                 scheme)
        ->ArgName("d")
        ->Arg(100)
        ->Arg(10'000)
        ->UseRealTime();
  }
  void add() const {
    add_rge("forward/gaussian", zo::gaussian{}, zo::forward{});
    add_rge("central/gaussian", zo::gaussian{}, zo::central{});
    add_rge("central/rademacher", zo::rademacher{}, zo::central{});
    add_rge("central/sphere", zo::sphere{}, zo::central{});
    add_cge("forward", zo::forward{});
    add_cge("central", zo::central{});
  }
};

}  // namespace

void register_estimators() {
  group<float, zo::sequential_policy>{zo::seq, "/seq/f32"}.add();
  group<double, zo::sequential_policy>{zo::seq, "/seq/f64"}.add();
  group<float, zo::parallel_policy>{zo::par, "/par/f32"}.add();
}

}  // namespace bench
