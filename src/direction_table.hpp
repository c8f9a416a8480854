// The kernels of one instruction set, as plain function pointers.
#pragma once

#include "zo/law.hpp"

namespace zo::detail {

struct kernel_table {
  // out = x + sum over k of weights[k] * raw values of direction from.number + k.
  void (*sum_float)(int law, const stream& from, index_t directions, const float* weights,
                    index_t first, index_t count, const float* x, float* out);
  void (*sum_double)(int law, const stream& from, index_t directions, const double* weights,
                     index_t first, index_t count, const double* x, double* out);
  double (*squares)(int law, const stream& from, index_t first, index_t count);
  // The largest |x[i]|; NaN where any is.
  float (*largest_float)(index_t count, const float* x);
  double (*largest_double)(index_t count, const double* x);
};

kernel_table generic_kernels();
#if defined(ZO_HAS_NEON_KERNELS)
kernel_table neon_kernels();
#endif
#if defined(ZO_HAS_X86_KERNELS)
kernel_table avx2_kernels();
kernel_table avx512_kernels();
#endif

}  // namespace zo::detail
