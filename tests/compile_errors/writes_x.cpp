// expect: scalar_objective|point_objective
// The objective wants to write the point.
#include <vector>

#include "zo/zo.hpp"

void run(std::vector<double>& x) {
  auto f = [](std::span<double> at) { return at[0] = 1; };
  zo::minimize(zo::seq, f, x, zo::rge(), zo::sgd(), {.max_queries = 10});
}
