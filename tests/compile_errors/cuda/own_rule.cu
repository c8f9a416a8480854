// expect: on each line that says so
// Rules and updaters that cannot make steps on the device.
#include <vector>

#include "zo/cuda.hpp"

namespace elsewhere {
struct moves {
  template <class T>
  ZO_HD bool operator()(zo::index_t, T) const;
};
struct rule {
  int state_vectors() const { return 0; }
  template <class T>
  moves at(std::uint64_t, T*, T* const*) const;
};
struct heavy : moves {
  std::vector<double> all;
};
struct full : rule {
  heavy at(std::uint64_t, double*, double* const*) const;
};
struct ends : rule {
  template <zo::execution_policy Policy>
  void prox(const Policy&, std::span<double>, std::uint64_t) const {}
};
struct mover {
  void step(const zo::execution_policy auto&, std::span<double>, std::span<const double>);
};
}  // namespace elsewhere

using namespace elsewhere;

static_assert(zo::cuda::optimizer_rule<rule, double>);
static_assert(zo::cuda::optimizer_rule<full, double>);  // error: optimizer_rule: the element of
static_assert(zo::optimizer_rule<ends, double>);
static_assert(zo::cuda::optimizer_rule<ends, double>);  // error: optimizer_rule: on the device prox
static_assert(zo::cuda::updater_for<mover, double>);    // error: updater_for: an updater moves
