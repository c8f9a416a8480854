// The direction kernels, written once over a SIMD pack. Included by one source file per instruction
// set; raw pointers and built-ins only, so that no inline function of the standard library is
// compiled with flags that other machines lack.
#pragma once

#include "direction_table.hpp"
#include "law/gaussian.hpp"
#include "law/rademacher.hpp"

namespace zo::detail {
namespace {

template <class T>
void sum_kernel(int law, const stream& from, index_t directions, const T* weights, index_t first,
                index_t count, const T* x, T* out) {
  visit_law(law, [&](auto of) {
    constexpr index_t group = group_of_law<decltype(of)>;
    for (index_t done = 0; done < count; done += group) {
      const index_t here = count - done < group ? count - done : group;
      law_kernel<decltype(of)>::sum(from, directions, weights, (first + done) / group, here,
                                    x + done, out + done);
    }
  });
}

inline double squares_kernel(int law, const stream& from, index_t first, index_t count) {
  double sum = 0;
  visit_law(law, [&](auto of) { sum = law_kernel<decltype(of)>::squares(from, first, count); });
  return sum;
}

template <class T>
void table_sum_kernel(index_t directions, const T* weights, const T* table, index_t stride,
                      index_t count, const T* x, T* out) {
  using V = part<T>;
  index_t i = 0;
  for (; i + V::width <= count; i += V::width) {
    V sum = V::load(x + i);
    for (index_t k = 0; k < directions; ++k) {
      sum = fused(V(weights[k]), V::load(table + k * stride + i), sum);
    }
    sum.store(out + i);
  }
  if (i == count) return;
  V sum = V::load_first(x + i, count - i);
  for (index_t k = 0; k < directions; ++k) {
    sum = fused(V(weights[k]), V::load_first(table + k * stride + i, count - i), sum);
  }
  sum.store_first(out + i, count - i);
}

// In the order of the laws: squares of floats are exact.
template <class T>
double table_squares_kernel(const T* values, index_t count) {
  double sum[lanes] = {};
  index_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (index_t lane = 0; lane < lanes; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sum[lane] += value * value;
    }
  }
  for (index_t lane = 0; i + lane < count; ++lane) {
    const auto value = static_cast<double>(values[i + lane]);
    sum[lane] += value * value;
  }
  return lane_tree(sum);
}

// Without their signs, the bits of floating-point numbers are ordered as the numbers are, and those
// of NaN are above all.
template <class T, class Bits>
T largest_kernel(index_t count, const T* x) {
  Bits most = 0;
  for (index_t i = 0; i < count; ++i) {
    Bits bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    bits = static_cast<Bits>(bits & ~(Bits{1} << (8 * sizeof(Bits) - 1)));
    most = bits > most ? bits : most;
  }
  T value;
  __builtin_memcpy(&value, &most, sizeof value);
  return value;
}

inline kernel_table make_kernel_table() {
  return {&sum_kernel<float>,
          &sum_kernel<double>,
          &squares_kernel,
          &table_sum_kernel<float>,
          &table_sum_kernel<double>,
          &table_squares_kernel<float>,
          &table_squares_kernel<double>,
          &largest_kernel<float, std::int32_t>,
          &largest_kernel<double, std::int64_t>};
}

}  // namespace
}  // namespace zo::detail
