// The direction kernels, avx2.
#define ZO_PACK_AVX2
#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table avx2_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
