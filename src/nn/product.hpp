// The matrix product of the networks, once for each instruction set.
#pragma once

#include "zo/config.hpp"

namespace zo::nn::detail {

/// A product of m x k by k x n numbers, with the distance of rows where they are not dense.
template <class T>
struct product_shape {
  index m, n, k;
  const T* a;  // rows k apart
  const T* b;
  index b_row;
  T* c;
  index c_row;
  bool add;  // c += a b, else c = a b
};

/// Sums over k by fused multiply-adds in ascending order: the same bits for every instruction set
/// and every way of cutting m and n.
struct product_table {
  void (*of_float)(const product_shape<float>&);
  void (*of_double)(const product_shape<double>&);
};

product_table generic_products();
#if defined(ZO_HAS_X86_KERNELS)
product_table avx2_products();
product_table avx512_products();
#endif

template <class T>
void product(const product_shape<T>& p);

}  // namespace zo::nn::detail
