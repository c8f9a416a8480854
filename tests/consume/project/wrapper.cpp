#include "wrapper.hpp"

#include <vector>
#include <zo/zo.hpp>

double minimum_near(double at) {
  auto f = [at](std::span<const double> x) { return (x[0] - at) * (x[0] - at); };
  std::vector<double> x{0};
  zo::minimize(zo::seq, f, x, zo::cge({.smoothing = 1e-6}, zo::central{}), zo::sgd({.rate = 0.25}),
               {.max_queries = 2000, .target = 1e-9});
  return x[0];
}
