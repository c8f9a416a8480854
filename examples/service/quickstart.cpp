#include <cstdio>
#include <exception>
#include <vector>
#include <zo/service.hpp>
#include <zo/zo.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: service_quickstart ADDRESS\n");
    return 2;
  }
  const zo::service f(argv[1], {.workers = 2, .timeout = std::chrono::seconds(10)});
  std::vector<double> x{-1.2, 1.0};
  zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
  auto run = zo::minimize(zo::seq, f.batch(), x, how, zo::adam({.rate = 0.02}),
                          {.max_queries = 50'000, .target = 1e-6, .seed = 42});
  std::printf("f(%.3f, %.3f) = %.1e after %ld queries: %s\n", x[0], x[1], run.value,
              static_cast<long>(run.queries), zo::to_string(run.why).data());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
