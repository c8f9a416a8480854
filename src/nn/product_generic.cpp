// The matrix product, generic.
#include "product_kernels.hpp"

namespace zo::nn::detail {

product_table generic_products() { return {&product_kernel<float>, &product_kernel<double>}; }

}  // namespace zo::nn::detail
