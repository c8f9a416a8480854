// ReLU by itself; its differences are those of chain.cu.
#include "cuda/nn/launches.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct relu_piece {
  const T* x;
  T* out;
  __device__ void operator()(index_t i) const { out[i] = nn::detail::relu_value(x[i]); }
};

}  // namespace

template <class T>
void relu_values(cudaStream_t stream, index_t numbers, const T* x, T* out) {
  for_items(stream, numbers, relu_piece<T>{x, out}, values_launch);
}
ZO_BOTH_TYPES(relu_values);

}  // namespace zo::cuda::detail
