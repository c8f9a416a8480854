// expect: compiles
// The control of this folder: what the other files do wrong, done right.
#include <vector>

#include "zo/zo.hpp"

double run(std::vector<double>& x) {
  auto f = [](std::span<const double> at) { return at[0] * at[0]; };
  std::vector<double> gradient(x.size());
  zo::estimate(zo::seq, f, x, gradient, zo::rge({.directions = 2}, zo::sphere{}, zo::central{}));
  return zo::minimize(zo::par, f, x, zo::cge(), zo::adam(), {.max_queries = 10}).value;
}
