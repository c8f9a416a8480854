// expect: same_as|scalar_of
// The gradient of a double point is to be written into floats.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<double>& x, std::vector<float>& g) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
