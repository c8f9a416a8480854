// The direction kernels, generic.
#include "direction_kernels.hpp"

namespace zo::detail {

kernel_table generic_kernels() { return make_kernel_table(); }

}  // namespace zo::detail
