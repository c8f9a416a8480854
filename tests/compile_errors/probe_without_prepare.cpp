// expect: coordinate_objective
// Half a coordinate objective is none.
#include <vector>

#include "zo/zo.hpp"

struct probes {
  void probe(std::span<const zo::index_t>, std::span<const double>, std::span<double>);
};
void run(probes& f, const std::vector<double>& x, std::vector<double>& g) {
  zo::estimate(zo::seq, f, x, g, zo::cge());
}
