// expect: set_for
// What sees all of x to be projected is not on the device.
#include "zo/cuda.hpp"

void run(const zo::cuda::policy& on, zo::cuda::array<double>& x) {
  auto f = [](zo::cuda::points<double>, zo::cuda::span<double>, cudaStream_t) {};
  zo::minimize(on, f, x, zo::cge(), zo::projected(zo::sgd(), zo::simplex()), {.max_queries = 9});
}
