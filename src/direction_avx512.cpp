// The direction kernels, avx512.
#define ZO_PACK_AVX512
#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table avx512_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
