// zo_benchmarks: the microbenchmarks. All options are Google Benchmark's (--help):
//   zo_benchmarks --benchmark_filter=rge --benchmark_out=FILE --benchmark_out_format=json
#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "common/output.hpp"
#include "context.hpp"
#include "registered.hpp"

int main(int given, char** values) {
  // Warm caches and threads first, unless the user's own options, which come later, say otherwise.
  std::string warm_up = "--benchmark_min_warmup_time=0.05";
  std::vector<char*> arguments(values, values + given + 1);
  arguments.insert(arguments.begin() + 1, warm_up.data());
  int count = given + 1;
  for (const auto& [name, value] : bench::context()) benchmark::AddCustomContext(name, value);
  bench::register_limits();
  bench::register_directions();
  bench::register_estimators();
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  try {
    app::require_printed();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_benchmarks: %s\n", error.what());
    return 3;
  }
}
