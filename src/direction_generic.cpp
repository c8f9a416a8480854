// The direction kernels, generic.
#include "simd/generic.hpp"

#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table generic_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
