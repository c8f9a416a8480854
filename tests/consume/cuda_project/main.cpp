// A batch objective in plain C++: no device code of its own, compiled without nvcc. Here it answers
// zero everywhere, so that a gradient of zeros is the right one.
#include <cstdio>
#include <vector>
#include <zo/cuda.hpp>

int main() {
  auto f = [](zo::cuda::points<float>, zo::cuda::span<double> losses, cudaStream_t stream) {
    cudaMemsetAsync(losses.data(), 0, sizeof(double) * static_cast<std::size_t>(losses.size()),
                    stream);
  };
  try {
    const auto gpu = zo::cuda::on(nullptr);
    zo::cuda::array<float> x(gpu, std::vector<float>(100, 1.0F)), gradient(gpu, 100);
    const auto r = zo::estimate(gpu, f, x, gradient, zo::rge({.directions = 4})).get();
    for (const float g : gradient.to_host()) {
      if (g != 0) return 1;
    }
    std::printf("%ld queries on the GPU\n", static_cast<long>(r.queries));
    return r.ok ? 0 : 1;
  } catch (const zo::cuda::error& missing) {
    std::puts(missing.what());
    return missing.code() == cudaErrorNoDevice || missing.code() == cudaErrorInsufficientDriver ? 0
                                                                                                : 1;
  }
}
