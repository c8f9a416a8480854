// A sum of two values; its differences are those of chain.cu.
#include "cuda/nn/launches.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct add_piece {
  const T *a, *b;
  T* out;
  __device__ void operator()(index_t i) const { out[i] = a[i] + b[i]; }
};

}  // namespace

template <class T>
void add_values(cudaStream_t stream, index_t numbers, const T* a, const T* b, T* out) {
  for_items(stream, numbers, add_piece<T>{a, b, out}, values_launch);
}
ZO_BOTH_TYPES(add_values);

}  // namespace zo::cuda::detail
