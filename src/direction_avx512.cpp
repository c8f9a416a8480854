// The direction kernels, avx512.
#include "simd/avx512.hpp"

#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table avx512_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
