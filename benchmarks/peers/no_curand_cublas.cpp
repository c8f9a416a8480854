#include "curand_cublas.hpp"

namespace peers {

std::function<void(const float*, float*)> stored_normals(cudaStream_t, std::int64_t, std::int64_t,
                                                         order, std::int64_t, float*) {
  return {};
}
std::function<void()> product(cudaStream_t, int, const float*, const float*, float*) { return {}; }
std::function<void()> product_of_bfloat16(cudaStream_t, int, const void*, const void*, void*) {
  return {};
}
batched_products products(cudaStream_t) { return {}; }

}  // namespace peers
