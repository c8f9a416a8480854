// cuRAND and cuBLAS. Each function is empty in a build without them. Everything is enqueued on the
// stream; all pointers are device memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

namespace peers {

/// How stored normals lie: the coordinates of a direction side by side, or the directions of a
/// coordinate.
enum class order { by_direction, by_coordinate };

/// y = sum over k of weights[k] u_k with stored directions: cuRAND's Philox generator fills
/// `buffer` with directions * at_once normals, cuBLAS's sgemv adds them up, `at_once` coordinates
/// after another until all of them are done.
std::function<void(const float* weights, float* y)> stored_normals(cudaStream_t stream,
                                                                   std::int64_t directions,
                                                                   std::int64_t dimension,
                                                                   order lie, std::int64_t at_once,
                                                                   float* buffer);

/// c = a b of n x n matrices, stored by columns: float throughout, and bfloat16 with sums in float.
std::function<void()> product(cudaStream_t stream, int n, const float* a, const float* b, float* c);
std::function<void()> product_of_bfloat16(cudaStream_t stream, int n, const void* a, const void* b,
                                          void* c);

/// `count` products in one call: c_k[i][j] = sum over l < depth of b_k[i][l] a_k[j][l] for i < rows
/// and j < columns, in float. Matrix k + 1 lies a stride after matrix k.
struct strided {
  const float* data;
  std::int64_t stride;
};
using batched_products = std::function<void(int count, int rows, int columns, int depth, strided a,
                                            strided b, float* c, std::int64_t stride_c)>;
batched_products products(cudaStream_t stream);

}  // namespace peers
