// expect: an estimator says what one estimate costs
#include <vector>

#include "zo/zo.hpp"

struct unpriced {
  static constexpr zo::asks asks = zo::asks::points;
  template <class M>
  auto start(M& machine) const {
    return zo::rge().start(machine);
  }
};
double f(std::span<const double> x);
void run(std::vector<double>& x) {
  zo::minimize(zo::seq, f, x, unpriced{}, zo::sgd(), {.max_queries = 9});
}
