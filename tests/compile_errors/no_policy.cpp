// expect: execution_policy
// The machine is missing at the call.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x, std::vector<double>& g) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::estimate(f, f, x, g, zo::rge());
}
