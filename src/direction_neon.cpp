// The direction kernels, neon.
#include "simd/neon.hpp"

#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table neon_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
