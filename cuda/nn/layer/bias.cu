// What is added to every number of a channel: biases, and those of norms.
#include "cuda/nn/begin.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct bias_step {
  __device__ int channel(int element) const { return element; }
  __device__ T difference(int, int, T step) const { return step; }
};

}  // namespace

template <class T>
void begin_bias(cudaStream_t stream, const probe_group<T>& group, index_t rows) {
  begin_by(stream, group, rows, bias_step<T>{});
}
ZO_BOTH_TYPES(begin_bias);

}  // namespace zo::cuda::detail
