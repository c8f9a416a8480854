// A lazy objective, compiled by this project's own nvcc with no flag of its own.
#include <cstdio>
#include <zo/cuda.hpp>

struct squares {
  template <class Part>
  ZO_HD double part(const Part& x) const {
    double sum = 0;
    x.each([&](zo::index_t, float v) { sum += v * v; });
    return sum;
  }
};

int main() {
  try {
    const auto gpu = zo::cuda::on(nullptr);
    zo::cuda::array<float> x(gpu, {1, 2, 3}), gradient(gpu, x.size());
    const auto r = zo::estimate(gpu, squares{}, x, gradient, zo::cge()).get();
    std::printf("f = %g on the GPU\n", r.value);
    return r.value == 14 ? 0 : 1;
  } catch (const zo::cuda::error& missing) {
    std::puts(missing.what());
    return missing.code() == cudaErrorNoDevice || missing.code() == cudaErrorInsufficientDriver ? 0
                                                                                                : 1;
  }
}
