// expect: scalar_objective|point_objective
// The objective returns nothing.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x, std::vector<double>& g) {
  auto f = [](std::span<const double>) {};
  zo::estimate(zo::seq, f, x, g, zo::cge());
}
