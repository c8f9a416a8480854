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
  require(wanted.empty() || wanted == "generic" || wanted == "avx2" || wanted == "avx512" ||
              wanted == "neon",
          "zo: ZO_INSTRUCTION_SET must be generic, avx2, avx512 or neon, got ", wanted);
#if defined(ZO_HAS_X86_KERNELS)
  if ((wanted.empty() || wanted == "avx512") && has_avx512()) return {"avx512", avx512_kernels()};
  if ((wanted.empty() || wanted == "avx2") && has_avx2()) return {"avx2", avx2_kernels()};
#endif
#if defined(ZO_HAS_NEON_KERNELS)  // every 64-bit ARM
  if (wanted.empty() || wanted == "neon") return {"neon", neon_kernels()};
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
void compiled_sum<float>(int law, const stream& from, index_t directions, const float* weights,
                         index_t first, index_t count, const float* x, float* out) {
  chosen().kernels.sum_float(law, from, directions, weights, first, count, x, out);
}
template <>
void compiled_sum<double>(int law, const stream& from, index_t directions, const double* weights,
                          index_t first, index_t count, const double* x, double* out) {
  chosen().kernels.sum_double(law, from, directions, weights, first, count, x, out);
}
double compiled_squares(int law, const stream& from, index_t first, index_t count) {
  return chosen().kernels.squares(law, from, first, count);
}

template <>
void table_sum<float>(index_t directions, const float* weights, const float* table, index_t stride,
                      index_t count, const float* x, float* out) {
  chosen().kernels.table_sum_float(directions, weights, table, stride, count, x, out);
}
template <>
void table_sum<double>(index_t directions, const double* weights, const double* table,
                       index_t stride, index_t count, const double* x, double* out) {
  chosen().kernels.table_sum_double(directions, weights, table, stride, count, x, out);
}
template <>
double table_squares<float>(const float* values, index_t count) {
  return chosen().kernels.table_squares_float(values, count);
}
template <>
double table_squares<double>(const double* values, index_t count) {
  return chosen().kernels.table_squares_double(values, count);
}

template <>
float largest_magnitude<float>(index_t count, const float* x) {
  return chosen().kernels.largest_float(count, x);
}
template <>
double largest_magnitude<double>(index_t count, const double* x) {
  return chosen().kernels.largest_double(count, x);
}

double inverse_root_of_sum(std::span<const double> values) {
  double total = 0;
  for (const double value : values) total += value;
  return 1.0 / std::sqrt(total);
}

}  // namespace detail

const char* instruction_set() { return detail::chosen().name; }

}  // namespace zo
