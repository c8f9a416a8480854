// expect: contiguous_vector|floating_point
// Points are float or double.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<int>& x, std::vector<int>& g) {
  auto f = [](std::span<const int> at) { return at[0]; };
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
