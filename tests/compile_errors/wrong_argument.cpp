// expect: scalar_objective|point_objective
// The objective takes something else than a point.
#include <string>
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x, std::vector<double>& g) {
  auto f = [](const std::string&) { return 1.0; };
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
