// expect: error
// minimize writes x.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::minimize(zo::seq, f, x, zo::rge(), zo::sgd(), {.max_queries = 10});
}
