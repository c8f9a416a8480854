// The loops over pairs of bfloat16, for processors with products of them.
#include "simd/avx512.hpp"

#include "lanes_kernels.hpp"

namespace zo::nn::detail {

pair_loops pair_loops_of_set::avx512_bf16() { return all_pair_loops(); }

}  // namespace zo::nn::detail
