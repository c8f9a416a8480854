// Chooses the direction kernels of this machine, once.
#include "zo/direction.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "direction_table.hpp"
#include "zo/execution.hpp"
#include "zo/rounding.hpp"

namespace zo {
namespace detail {
namespace {

#if defined(ZO_HAS_X86_KERNELS)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}
#endif

struct choice {
  const char* name;
  kernel_table kernels;
};

// ZO_INSTRUCTION_SET asks for a narrower set than the machine has: every set gives the same bits,
// and this is how anyone can check that.
choice choose() {
  const char* asked = std::getenv("ZO_INSTRUCTION_SET");
  const std::string_view wanted = asked == nullptr ? "" : asked;
  require(wanted.empty() || wanted == "generic" || wanted == "avx2" || wanted == "avx512",
          "zo: ZO_INSTRUCTION_SET must be generic, avx2 or avx512, got ", wanted);
#if defined(ZO_HAS_X86_KERNELS)
  if ((wanted.empty() || wanted == "avx512") && has_avx512()) return {"avx512", avx512_kernels()};
  if ((wanted.empty() || wanted == "avx2") && has_avx2()) return {"avx2", avx2_kernels()};
#endif
  require(wanted.empty() || wanted == "generic",
          "zo: this machine or build does not have the instruction set ", wanted,
          " that ZO_INSTRUCTION_SET asks for");
  return {"generic", generic_kernels()};
}

const choice& chosen() {
  static const choice it = choose();
  return it;
}

}  // namespace

template <>
void perturb<float>(law kind, const stream& from, index_t first, index_t count, const float* x,
                    float h, float* out) {
  chosen().kernels.sum_float(kind, from, 1, &h, first, count, x, out);
}
template <>
void perturb<double>(law kind, const stream& from, index_t first, index_t count, const double* x,
                     double h, double* out) {
  chosen().kernels.sum_double(kind, from, 1, &h, first, count, x, out);
}
template <>
void accumulate<float>(law kind, const stream& from, index_t directions, const float* weights,
                       index_t first, index_t count, float* g) {
  chosen().kernels.sum_float(kind, from, directions, weights, first, count, g, g);
}
template <>
void accumulate<double>(law kind, const stream& from, index_t directions, const double* weights,
                        index_t first, index_t count, double* g) {
  chosen().kernels.sum_double(kind, from, directions, weights, first, count, g, g);
}

template <>
float largest_magnitude<float>(index_t count, const float* x) {
  return chosen().kernels.largest_float(count, x);
}
template <>
double largest_magnitude<double>(index_t count, const double* x) {
  return chosen().kernels.largest_double(count, x);
}

double sum_of_squares(const stream& from, index_t first, index_t count) {
  double total = 0;
  for (index_t at = first; at < first + count; at += tile) {
    total += chosen().kernels.squares(from, at, std::min(tile, first + count - at));
  }
  return total;
}

double inverse_root_of_sum(std::span<const double> values) {
  double total = 0;
  for (const double value : values) total += value;
  return 1.0 / std::sqrt(total);
}

double inverse_norm(const stream& from, index_t dimension) {
  return 1.0 / std::sqrt(sum_of_squares(from, 0, dimension));
}

}  // namespace detail

const char* instruction_set() { return detail::chosen().name; }

}  // namespace zo
