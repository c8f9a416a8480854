// The matrix product, avx512.
#define ZO_PACK_AVX512
#include "product_kernels.hpp"

namespace zo::nn::detail {

product_table avx512_products() { return {&product_kernel<float>, &product_kernel<double>}; }

}  // namespace zo::nn::detail
