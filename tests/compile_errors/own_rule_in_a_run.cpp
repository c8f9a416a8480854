// expect: zo::optimizer_rule: a rule makes its element of T
// A run says what its rule lacks.
#include <vector>

#include "zo/zo.hpp"

struct half {
  int state_vectors() const { return 0; }
};
void run(std::vector<double>& x) {
  auto f = [](std::span<const double> at) { return at[0]; };
  zo::minimize(zo::seq, f, x, zo::cge(), half{}, {.max_queries = 9});
}
