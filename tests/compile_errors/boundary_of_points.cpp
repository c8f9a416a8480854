// expect: rowwise_objective
// The boundary asks by rows.
#include <vector>

#include "zo/zo.hpp"

void run(const std::vector<float>& z) {
  auto f = [](std::span<const float> at) { return at[0]; };
  zo::boundary(zo::seq, f, zo::points<float>{z, 2, 3}, zo::rge());
}
