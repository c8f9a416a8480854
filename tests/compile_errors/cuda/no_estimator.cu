// expect: an estimator is wanted here, such as zo::rge\(\) or zo::cge\(\)
#include <zo/cuda.hpp>

void loss(zo::cuda::points<float>, zo::cuda::span<double>, cudaStream_t);

void wrong(const zo::cuda::policy& on, zo::cuda::span<float> x, zo::cuda::span<float> g) {
  zo::estimate(on, loss, x, g, 3);
}
