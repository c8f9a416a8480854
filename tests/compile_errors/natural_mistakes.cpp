// expect: on each line that says so
// What a new user writes first, and the cure that the compiler's output must name.
#include <vector>

#include "zo/zo.hpp"

void run(std::vector<double>& x, std::vector<double>& g, const std::vector<double>& constant) {
  const zo::rge how;
  const zo::adam rule;
  const zo::minimize_options budget{.max_queries = 100};
  auto f = [](std::span<const double> at) { return at[0]; };
  auto vector = [](const std::vector<double>& at) { return at[0]; };
  auto writes = [](std::span<double> at) { return at[0]; };
  auto floats = [](std::span<const float> at) { return at[0]; };
  auto silent = [](std::span<const double>) {};
  auto pointer = [](const double* at) { return at[0]; };
  zo::estimate(zo::seq, vector, x, g, how);               // error: instead of std::vector
  zo::minimize(zo::seq, vector, x, how, rule, budget);    // error: a view of the point, not a copy
  zo::estimate(zo::seq, writes, x, g, how);               // error: must not write the point
  zo::estimate(zo::seq, floats, x, g, how);               // error: takes float and x is double
  zo::estimate(zo::seq, silent, x, g, how);               // error: returns a number
  zo::estimate(zo::seq, pointer, x, g, how);              // error: is called as f.std::span
  zo::estimate(f, x, g, how);                             // error: zo::estimate.zo::seq, f,
  zo::minimize(f, x, how, rule, budget);                  // error: zo::minimize.zo::seq, f,
  zo::estimate(zo::seq, f, x, constant, how);             // error: must not be const
  zo::minimize(zo::seq, f, constant, how, rule, budget);  // error: x of zo::minimize
  zo::minimize(zo::seq, f, x, rule, how, budget);         // error: stands before the optimizer
  zo::minimize(zo::seq, f, x, how, 0.1, budget);          // error: an optimizer is wanted here
  zo::adam a(0.1);                                        // error: zo::adam.{.rate = 0.1}
  zo::sgd b(1);                                           // error: zo::sgd.{.rate = 0.1}
  zo::rge d(10);                                          // error: zo::rge.{.directions = 8}
  zo::cge h(1e-4);                                        // error: zo::cge.{.smoothing = 1e-4}
  zo::rge i({.directions = 2}, zo::central{});            // error: the distribution first
  zo::cge j({}, zo::gaussian{});                          // error: CGE has no distribution
  zo::cge k({}, zo::gaussian{}, zo::central{});           // error: zo::cge.{}, zo::central
}
