// Two simulators that others wrote, optimized by what they answer: an airfoil in XFOIL, a
// preamplifier in ngspice. docs/airfoil.md and docs/circuit.md have the results.
//   simulators airfoil|circuit LOG [RUNS [START …]]
// Keeps every answer in LOG; the same call goes on after a stop. RUNS of the simulator are made at
// most; START, a number a parameter, is in the place of the usual one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>
#include <zo/journal.hpp>
#include <zo/process.hpp>
#include <zo/zo.hpp>

namespace {

struct problem {
  std::string program;
  zo::index_t runs;  // of the simulator, at most
  double smoothing;  // in ranges between bounds
  std::vector<zo::parameter> parameters;
};

problem airfoil() {
  const auto thickness = [](const char* name, double start) {
    return zo::parameter{.name = name, .lower = 0.3, .upper = 2, .start = start};
  };
  const auto camber = [](const char* name, double start) {
    return zo::parameter{.name = name, .lower = 0, .upper = 3, .start = start};
  };
  return {ZO_SIMULATORS "/airfoil/airfoil.sh",
          200,
          0.03,
          {thickness("T0", 1.1), thickness("T2", 0.9), thickness("T3", 0.9), camber("C0", 1.1),
           camber("C1", 0.7), camber("C2", 0.7)}};
}

problem circuit() {
  const auto component = [](const char* name, double lower, double start) {
    return zo::parameter{
        .name = name, .lower = lower, .upper = 10 * lower, .start = start, .scale = zo::scale::log};
  };
  return {ZO_SIMULATORS "/circuit/circuit.sh",
          400,
          0.005,
          {component("RE1", 0.3, 1), component("R1", 300, 1000), component("C1", 1, 3.3),
           component("R2", 30, 82), component("C2", 0.3, 1), component("RC1", 70, 220),
           component("RC2", 3, 10), component("RE2", 0.3, 1)}};
}

int minimize(problem of, const char* log_file, const std::vector<double>& start) {
  if (!start.empty()) {
    if (start.size() != of.parameters.size()) {
      std::fprintf(stderr, "simulators: START must be %zu numbers, got %zu\n", of.parameters.size(),
                   start.size());
      return 2;
    }
    for (std::size_t i = 0; i < start.size(); ++i) of.parameters[i].start = start[i];
  }
  const zo::space space(of.parameters);
  const zo::process simulator(
      {of.program, "{x}"},
      {.manner = zo::process_manner::once, .workers = 2, .timeout = std::chrono::seconds(30)});
  zo::journal log(log_file, {.values = [&](std::span<const double> x, std::uint64_t) {
                    return space.values(x);
                  }});
  // Central differences never ask about x itself, so a run survives that x is a point which fails.
  const zo::cge how({.smoothing = of.smoothing, .failures = zo::on_failure::drop}, zo::central{});
  const zo::index_t step_cost = how.queries(space.dimension()) + 1;  // and f at its end
  const auto steps = static_cast<std::uint64_t>(std::max(of.runs / step_cost, zo::index_t{1}));
  // Few steps and little noise: short memories.
  const zo::adam rule(
      {.rate = zo::cosine({.peak = 0.08, .steps = steps}), .beta1 = 0.5, .beta2 = 0.9});

  std::vector<double> x = space.start();
  auto on_step = [](const zo::step_report& made) {
    std::printf("step %2ld: %3ld runs, mean answer %.4g\n", static_cast<long>(made.step),
                static_cast<long>(made.queries), made.value);
    std::fflush(stdout);
    return zo::verdict::go_on;
  };
  const zo::minimize_result run =
      zo::minimize(zo::par.with_threads(2),
                   space.objective([&](std::span<const double> at) { return simulator(at); }), x,
                   zo::inside(space.bounds(), how), zo::projected(rule, space.bounds()),
                   {.max_queries = of.runs, .return_best = true, .on_step = on_step, .log = &log});
  std::printf("%s: best %.4g after %ld runs, %ld of them failed\n", zo::to_string(run.why).data(),
              run.best, static_cast<long>(run.queries), static_cast<long>(run.failed));
  for (const double value : space.values(x)) std::printf("%.4g ", value);
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string name = argc > 2 ? argv[1] : "";
  if (name != "airfoil" && name != "circuit") {
    std::fprintf(stderr, "usage: simulators airfoil|circuit LOG [RUNS [START …]]\n");
    return 2;
  }
  std::vector<double> start;
  for (int i = 4; i < argc; ++i) start.push_back(std::atof(argv[i]));
  problem chosen = name == "airfoil" ? airfoil() : circuit();
  if (argc > 3) chosen.runs = std::atol(argv[3]);
  return minimize(chosen, argv[2], start);
} catch (const std::exception& error) {
  std::fprintf(stderr, "simulators: %s\n", error.what());
  return 1;
}
