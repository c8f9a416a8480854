// expect: the run of an estimator has bool pose\(\)
#include <vector>

#include "zo/zo.hpp"

struct own_run {
  void begin(const zo::row_problem<double>&, const zo::estimate_options&) {}
  void end() {}
};
struct own {
  static constexpr zo::asks asks = zo::asks::points;
  zo::index_t queries(zo::index_t) const { return 1; }
  template <class M>
  own_run start(M&) const {
    return {};
  }
};
void run(const std::vector<double>& x) { zo::ask<double>(x, own{}, zo::sgd(), {.max_queries = 9}); }
