// One product on tensor cores: c += a b for 16 x 16 by 16 x 8 numbers of bfloat16, sums in float.
// Lanes hold parts: with row = lane / 4 and pair = lane % 4, two neighbouring numbers in each word,
//   a: rows `row` and `row` + 8 at columns 2 pair, then the same rows at columns 2 pair + 8,
//   b: column `row` at rows 2 pair, then 2 pair + 8,
//   c: row `row` at columns 2 pair and 2 pair + 1, then row `row` + 8 there.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace zo::cuda::detail {

__device__ inline void multiply_add(float (&c)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif !defined(__CUDACC__)  // an emulated GPU has a function in place of the instruction
  mma_m16n8k16_bfloat16(c, a, b);
#endif
}

}  // namespace zo::cuda::detail
