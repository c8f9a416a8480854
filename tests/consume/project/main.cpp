// Minimizes a bowl through an installed or embedded zo; fails where a flag of zo's build leaks in.
#include <cstdio>
#include <cstring>
#include <vector>
#include <zo/zo.hpp>

#if defined(__FAST_MATH__)
#error "zo made this project use -ffast-math"
#endif
#if defined(__AVX2__) || defined(__AVX512F__) || defined(__FMA__)
#error "zo made this project use the instructions of the machine it was built on"
#endif
#if defined(_OPENMP)
#error "zo made this project use -fopenmp"
#endif

int main() {
  auto f = [](std::span<const double> x) {
    const double a = x[0] - 1, b = x[1] + 2;
    return a * a + b * b;
  };
  std::vector<double> x{0, 0}, y = x;
  const auto run = [&](const auto& policy, std::vector<double>& at) {
    return zo::minimize(policy, f, at, zo::cge({.smoothing = 1e-6}, zo::central{}),
                        zo::sgd({.rate = 0.25}), {.max_queries = 2000, .target = 1e-9});
  };
  const auto r = run(zo::seq, x);
  std::printf("zo %d.%d.%d, %s: f(%.4f, %.4f) = %.1e, %s\n", zo::version_major, zo::version_minor,
              zo::version_patch, zo::instruction_set(), x[0], x[1], r.value,
              zo::to_string(r.why).data());
  bool same = true;
  try {
    run(zo::par, y);  // OpenMP lives in the library: no flag is needed here
    same = std::memcmp(x.data(), y.data(), sizeof(double) * 2) == 0;
  } catch (const zo::not_compiled& missing) {
    std::puts(missing.what());
  }
  return r.why == zo::status::target_reached && same ? 0 : 1;
}
