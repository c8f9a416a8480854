// The direction kernels alone: writing a candidate, summing directions, norms.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "accumulation.hpp"
#include "registered.hpp"

namespace bench {
namespace {

using benchmark::Counter;

void count(benchmark::State& state, double elements, double bytes) {
  const auto calls = static_cast<double>(state.iterations());
  state.counters["elements/s"] = Counter(elements * calls, Counter::kIsRate);
  state.counters["GB/s"] = Counter(bytes * calls * 1e-9, Counter::kIsRate);
}

template <class L, class T>
void perturb(benchmark::State& state) {
  const zo::index_t d = state.range(0);
  const std::vector<T> x(static_cast<std::size_t>(d), T(1));
  std::vector<T> out(x.size());
  std::uint64_t step = 0;
  for (auto _ : state) {
    zo::detail::perturb<L>({1, step++}, 0, d, x.data(), T(1e-3), out.data());
    benchmark::ClobberMemory();
  }
  count(state, static_cast<double>(d), 2.0 * sizeof(T) * static_cast<double>(d));
}

template <class L, class T, class Policy>
void accumulate(benchmark::State& state, const Policy& policy) {
  const zo::index_t d = state.range(0), q = state.range(1);
  accumulation<L, T> add(d, q, policy.threads());
  for (auto _ : state) benchmark::DoNotOptimize(add());
  count(state, static_cast<double>(d * q), sizeof(T) * static_cast<double>(d));
}

void norm(benchmark::State& state) {
  const zo::index_t d = state.range(0);
  std::uint64_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(zo::detail::raw_factor<zo::sphere>({1, step++}, d));
  count(state, static_cast<double>(d), 0);
}

template <class L, class T>
void register_law(const std::string& name, const std::string& scalar) {
  benchmark::RegisterBenchmark(("perturb/" + name + "/seq/" + scalar).c_str(), perturb<L, T>)
      ->ArgName("d")
      ->Arg(100)
      ->Arg(10'000)
      ->Arg(1'000'000);
  benchmark::RegisterBenchmark(("accumulate/" + name + "/seq/" + scalar).c_str(),
                               accumulate<L, T, zo::sequential_policy>, zo::seq)
      ->ArgNames({"d", "q"})
      ->ArgsProduct({{100, 10'000, 1'000'000}, {1, 16}});
  benchmark::RegisterBenchmark(("accumulate/" + name + "/par/" + scalar).c_str(),
                               accumulate<L, T, zo::parallel_policy>, zo::par)
      ->ArgNames({"d", "q"})
      ->ArgsProduct({{10'000, 1'000'000}, {1, 16}})
      ->UseRealTime();
}

template <class T>
void register_scalar(const std::string& scalar) {
  register_law<zo::gaussian, T>("gaussian", scalar);
  register_law<zo::rademacher, T>("rademacher", scalar);
}

}  // namespace

void register_directions() {
  register_scalar<float>("f32");
  register_scalar<double>("f64");
  benchmark::RegisterBenchmark("norm/gaussian/seq", norm)
      ->ArgName("d")
      ->Arg(100)
      ->Arg(10'000)
      ->Arg(1'000'000);
}

}  // namespace bench
