// The direction kernels, avx2.
#include "simd/avx2.hpp"

#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table avx2_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
