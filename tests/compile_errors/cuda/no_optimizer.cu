// expect: zo: an optimizer is wanted here
// An updater of the host's memory is none of the device's.
#include "zo/cuda.hpp"

struct host_updater {
  void step(const zo::execution_policy auto&, std::span<double>, std::span<const double>);
};
void run(const zo::cuda::policy& on, zo::cuda::array<double>& x) {
  auto f = [](zo::cuda::points<double>, zo::cuda::span<double>, cudaStream_t) {};
  zo::minimize(on, f, x, zo::cge(), host_updater{}, {.max_queries = 9});
}
