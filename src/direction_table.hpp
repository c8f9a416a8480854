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
  // The same of raw values in a table: those of direction k begin at table + k * stride.
  void (*table_sum_float)(index_t directions, const float* weights, const float* table,
                          index_t stride, index_t count, const float* x, float* out);
  void (*table_sum_double)(index_t directions, const double* weights, const double* table,
                           index_t stride, index_t count, const double* x, double* out);
  double (*table_squares_float)(const float* values, index_t count);
  double (*table_squares_double)(const double* values, index_t count);
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
