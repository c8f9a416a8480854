// A whole run on the GPU, with an objective that never sees its point in memory: build with nvcc,
// link zo::cuda. Without a GPU the same run is made by the CPU, with the same bits.
#include <cstdio>
#include <vector>
#include <zo/cuda.hpp>

// The sum of (x_i - 1)^2, as one of many parts of the work sees it.
struct bowl {
  template <class Part>
  ZO_HD double part(const Part& x) const {
    double sum = 0;
    x.each([&](zo::index_t, float value) {
      const double off = static_cast<double>(value) - 1.0;
      sum += off * off;
    });
    return sum;
  }
};

int main() {
  const std::vector<float> start(1000, 0.0F);
  const zo::rge how({.directions = 64, .smoothing = 0.01}, zo::rademacher{}, zo::central{});
  const zo::sgd step({.rate = 0.025});
  const zo::minimize_options options{.max_queries = 100'000, .target = 1e-3, .seed = 42};
  const char* where = "the GPU";
  zo::minimize_result run;
  try {
    const auto gpu = zo::cuda::on(nullptr);  // any stream
    zo::cuda::array<float> x(gpu, start);
    run = zo::minimize(gpu, bowl{}, x, how, step, options);
  } catch (const zo::cuda::error& missing) {
    std::fprintf(stderr, "%s\n", missing.what());
    where = "the CPU";
    std::vector<float> x = start;
    run = zo::minimize(zo::par, bowl{}, x, how, step, options);
  }
  std::printf("f = %.2e after %ld queries on %s: %s\n", run.value, static_cast<long>(run.queries),
              where, zo::to_string(run.why).data());
}
