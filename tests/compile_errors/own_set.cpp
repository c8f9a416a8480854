// expect: set_for: a set moves x into it by project
// What is projected onto says how.
#include <vector>

#include "zo/zo.hpp"

void run(std::vector<double>& x) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::minimize(zo::seq, f, x, zo::cge(), zo::projected(zo::sgd(), zo::l1(1)), {.max_queries = 9});
}
