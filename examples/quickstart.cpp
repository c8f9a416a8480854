#include <cstdio>
#include <vector>
#include <zo/zo.hpp>

int main() {
  // Anything that answers queries: here Rosenbrock's valley, in two dimensions.
  auto f = [](std::span<const double> x) {
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    return a * a + 100 * b * b;
  };
  std::vector<double> x{-1.2, 1.0};
  zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
  auto run = zo::minimize(zo::seq, f, x, how, zo::adam({.rate = 0.02}),
                          {.max_queries = 50'000, .target = 1e-6, .seed = 42});
  std::printf("f(%.3f, %.3f) = %.1e after %ld queries: %s\n", x[0], x[1], run.value,
              static_cast<long>(run.queries), zo::to_string(run.why).data());
}
