// expect: zo::cuda::objective: an objective of the device is called as
// An objective of the host is none of the device's.
#include "zo/cuda.hpp"

void wrong(const zo::cuda::policy& on, zo::cuda::span<float> x, zo::cuda::span<float> g) {
  auto f = [](std::span<const float> at) { return static_cast<double>(at[0]); };
  zo::estimate(on, f, x, g, zo::rge());
}
