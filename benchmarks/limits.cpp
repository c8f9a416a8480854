// Ceilings in the same run: arithmetic peak, plain copy, the product with stored directions.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>
#include <zo/zo.hpp>

#include "peers/limits.hpp"
#include "registered.hpp"

namespace bench {
namespace {

using benchmark::Counter;

void multiply_adds(benchmark::State& state) {
  float value = 0.5f;
  double made = 0;
  for (auto _ : state)
    made += static_cast<double>(peers::multiply_adds(zo::instruction_set(), 1000, &value));
  benchmark::DoNotOptimize(value);
  state.counters["fma/s"] = Counter(made, Counter::kIsRate);
}

void copy(benchmark::State& state) {
  const std::vector<float> from(static_cast<std::size_t>(state.range(0)), 1.0f);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::ranges::copy(from, to.begin());
    benchmark::ClobberMemory();
  }
  const double elements =
      static_cast<double>(state.range(0)) * static_cast<double>(state.iterations());
  state.counters["elements/s"] = Counter(elements, Counter::kIsRate);
  state.counters["GB/s"] = Counter(elements * 2 * sizeof(float) * 1e-9, Counter::kIsRate);
}

void stored_product(benchmark::State& state) {
  const std::int64_t d = state.range(0), q = state.range(1);
  const std::vector<float> directions(static_cast<std::size_t>(q * d), 0.5f);
  const std::vector<float> weights(static_cast<std::size_t>(q), 1e-3f);
  std::vector<float> g(static_cast<std::size_t>(d));
  for (auto _ : state) {
    peers::stored_product(directions.data(), q, d, weights.data(), g.data());
    benchmark::ClobberMemory();
  }
  const double elements = static_cast<double>(d * q) * static_cast<double>(state.iterations());
  state.counters["elements/s"] = Counter(elements, Counter::kIsRate);
  state.counters["GB/s"] = Counter(elements * sizeof(float) * 1e-9, Counter::kIsRate);
}

}  // namespace

void register_limits() {
  benchmark::RegisterBenchmark("limit/multiply_adds/f32", multiply_adds);
  benchmark::RegisterBenchmark("limit/copy/f32", copy)
      ->ArgName("d")
      ->Arg(100)
      ->Arg(10'000)
      ->Arg(1'000'000)
      ->Arg(10'000'000);
  benchmark::RegisterBenchmark("limit/stored_product/f32", stored_product)
      ->ArgNames({"d", "q"})
      ->ArgsProduct({{100, 10'000, 1'000'000}, {16}});
}

}  // namespace bench
