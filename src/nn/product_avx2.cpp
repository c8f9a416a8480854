// The matrix product, avx2.
#define ZO_PACK_AVX2
#include "product_kernels.hpp"

namespace zo::nn::detail {

product_table avx2_products() { return {&product_kernel<float>, &product_kernel<double>}; }

}  // namespace zo::nn::detail
