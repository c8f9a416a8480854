// Minimizes a bowl through an installed or embedded zo; fails where a flag of zo's build leaks in,
// or where one of this project changes zo's numbers.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>
#include <zo/zo.hpp>

#include "wrapper.hpp"

#if !defined(FLAGS_OF_MY_OWN)
#if defined(__FAST_MATH__)
#error "zo made this project use -ffast-math"
#endif
#if defined(__AVX2__) || defined(__AVX512F__) || defined(__FMA__)
#error "zo made this project use the instructions of the machine it was built on"
#endif
#if defined(_OPENMP)
#error "zo made this project use -fopenmp"
#endif
#endif

namespace {

// What the compiled part of zo computes: directions, and steps along them.
std::uint64_t fingerprint_of_zo() {
  std::vector<float> direction(5000), x(direction.size());
  zo::updater<zo::sgd, float> sgd({{.rate = 0.1, .momentum = 0.9, .weight_decay = 1e-3}}, 5000);
  for (std::uint32_t k = 0; k < 8; ++k) {
    zo::fill_direction(zo::gaussian{}, {.seed = 1, .step = k}, std::span<float>(direction));
    sgd.step(zo::seq, x, direction);
  }
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const float value : x) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3u;
  }
  return hash;
}

bool an_exception_of_zo_arrives() {
  setenv("ZO_INSTRUCTION_SET", "sse9", 1);
  bool caught = false;
  try {
    zo::instruction_set();
  } catch (const std::invalid_argument&) {
    caught = true;
  }
  unsetenv("ZO_INSTRUCTION_SET");
  return caught;
}

int failures = 0;
void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s\n", what);
  ++failures;
}

}  // namespace

int main() {
  check(an_exception_of_zo_arrives(), "an exception of the compiled part is not caught");
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
  check(r.why == zo::status::target_reached, "the minimum is not found");
  try {
    run(zo::par, y);  // OpenMP lives in the library: no flag is needed here
    check(std::memcmp(x.data(), y.data(), sizeof(double) * 2) == 0, "par differs from seq");
  } catch (const zo::not_compiled& missing) {
    std::puts(missing.what());
  }
  check(std::abs(minimum_near(3) - 3) < 1e-4, "zo inside a shared library");
  const std::uint64_t print = fingerprint_of_zo();
  std::printf("numbers %#llx\n", static_cast<unsigned long long>(print));
  check(print == 0x50e4e43180daa650u, "other numbers");
  return failures == 0 ? 0 : 1;
}
