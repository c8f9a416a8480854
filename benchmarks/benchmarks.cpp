// zo_benchmarks: the microbenchmarks. All options are Google Benchmark's (--help):
//   zo_benchmarks --benchmark_filter=rge --benchmark_out=FILE --benchmark_out_format=json
#include <benchmark/benchmark.h>

#include "context.hpp"
#include "registered.hpp"

int main(int count, char** values) {
  for (const auto& [name, value] : bench::context()) benchmark::AddCustomContext(name, value);
  bench::register_limits();
  bench::register_directions();
  bench::register_estimators();
  benchmark::Initialize(&count, values);
  if (benchmark::ReportUnrecognizedArguments(count, values)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
