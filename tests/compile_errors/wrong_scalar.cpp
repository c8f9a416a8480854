// expect: scalar_objective|point_objective
// A float objective is asked at a double point.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x, std::vector<double>& g) {
  auto f = [](std::span<const float> at) { return at[0]; };
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
