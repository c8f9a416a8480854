// expect: contiguous_vector|contiguous_range
// The coordinates of a point are adjacent in memory.
#include <list>
#include <vector>

#include "zo/zo.hpp"

void run(const std::list<double>& x, std::vector<double>& g) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
