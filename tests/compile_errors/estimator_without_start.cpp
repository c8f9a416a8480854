// expect: an estimator makes its run: start\(machine\)
#include <vector>

#include "zo/zo.hpp"

struct unstarted {
  static constexpr zo::asks asks = zo::asks::points;
  zo::index_t queries(zo::index_t) const { return 1; }
};
double f(std::span<const double> x);
void run(const std::vector<double>& x, std::vector<double>& g) {
  zo::estimate(zo::seq, f, x, g, unstarted{});
}
