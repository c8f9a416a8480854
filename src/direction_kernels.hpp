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
  return {&sum_kernel<float>, &sum_kernel<double>, &squares_kernel,
          &largest_kernel<float, std::int32_t>, &largest_kernel<double, std::int64_t>};
}

}  // namespace
}  // namespace zo::detail
