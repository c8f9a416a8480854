// expect: estimator_for<.*rge
// RGE asks whole points, which an objective that only answers probes cannot.
#include <vector>

#include "zo/zo.hpp"

struct probes {
  double prepare(std::span<const double>, zo::sample_id);
  void probe(std::span<const zo::index_t>, std::span<const double>, std::span<double>);
};
void run(probes& f, const std::vector<double>& x, std::vector<double>& g) {
  zo::estimate(zo::seq, f, x, g, zo::rge());
}
