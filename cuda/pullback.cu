// Vector answers on the device: what they are worth, and which rows failed.
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/direction_lane.hpp"
#include "zo/slope.hpp"

namespace zo::cuda::detail {

namespace {

using zo::detail::lanes;
using zo::detail::tile;

// A block a candidate, a thread a lane of a tile; one thread adds the tiles in their order.
template <class T>
__global__ void __launch_bounds__(block_threads)
    pair_kernel(vector_answers<T> work, double* worth) {
  __shared__ double sums[block_threads];
  const index_t lane = threadIdx.x % lanes;
  double* const own = sums + (threadIdx.x - lane);
  const index_t turn = static_cast<index_t>(blockDim.x / lanes) * tile;
  for (index_t k = blockIdx.x; k < work.count; k += gridDim.x) {
    const index_t row = work.rows[k];
    const T* const answer = work.answers + k * work.outputs;
    const T* const v = work.v + row * work.per_row;
    const T* const y = work.y + row * work.outputs;
    double total = 0;
    for (index_t start = 0; start < work.outputs; start += turn) {
      const index_t first = start + threadIdx.x / lanes * tile;
      const index_t end = first + tile < work.outputs ? first + tile : work.outputs;
      double sum = 0;
      for (index_t i = first + lane; i < end; i += lanes) {
        sum += zo::detail::paired(v[i], answer[i], y[i]);
      }
      own[lane] = sum;
      for (index_t half = lanes / 2; half >= 1; half /= 2) {
        __syncthreads();
        zo::detail::lane_tree_level(own, lane, half);
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        for (index_t t = 0; t < blockDim.x && start + t / lanes * tile < work.outputs; t += lanes) {
          total += sums[t];
        }
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) worth[k] = total;
  }
}

// A block a row.
template <class T>
__global__ void __launch_bounds__(block_threads) spoil_kernel(index_t rows, index_t outputs, T* y) {
  for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
    T* const numbers = y + row * outputs;
    int failed = 0;
    for (index_t i = threadIdx.x; i < outputs; i += blockDim.x) {
      failed |= __builtin_isfinite(numbers[i]) ? 0 : 1;
    }
    if (__syncthreads_or(failed) == 0) continue;
    for (index_t i = threadIdx.x; i < outputs; i += blockDim.x) {
      numbers[i] = static_cast<T>(__builtin_nan(""));
    }
  }
}

template <class T>
struct row_count_piece {
  index_t outputs;
  unsigned long long more;  // modulo 2^64
  const T* y;
  report* out;
  __device__ void operator()(index_t row) const {
    if (!__builtin_isfinite(y[row * outputs])) atomicAdd(&out->failed, more);
  }
};

launch_shape block_each(index_t count, index_t threads) {
  constexpr index_t most_blocks = index_t{1} << 16;
  launch_shape shape = shape_for(threads);
  shape.blocks = static_cast<unsigned>(std::min(count, most_blocks));
  return shape;
}

}  // namespace

template <class T>
void pair_answers(const stream_context& at, const vector_answers<T>& work, double* worth) {
  if (work.count == 0) return;
  const cudaLaunchConfig_t config =
      configuration(at.stream, block_each(work.count, tiles(work.outputs) * lanes));
  check(cudaLaunchKernelEx(&config, pair_kernel<T>, work, worth),
        "launching the kernel of vector answers");
}

template <class T>
void spoil_failed(const stream_context& at, index_t rows, index_t outputs, T* y) {
  const cudaLaunchConfig_t config = configuration(at.stream, block_each(rows, outputs));
  check(cudaLaunchKernelEx(&config, spoil_kernel<T>, rows, outputs, y),
        "launching the kernel that looks for failed rows");
}

template <class T>
void count_rows(const stream_context& at, index_t rows, index_t outputs, index_t each, bool asked,
                const T* y, report* out) {
  const unsigned long long more = (asked ? 1ULL : 0ULL) - static_cast<unsigned long long>(each);
  for_items(at.stream, rows, row_count_piece<T>{outputs, more, y, out},
            "launching the kernel that counts failed rows");
}

#define ZO_INSTANTIATE(T)                                                                    \
  template void pair_answers(const stream_context&, const vector_answers<T>&, double*);      \
  template void spoil_failed(const stream_context&, index_t, index_t, T*);                   \
  template void count_rows(const stream_context&, index_t, index_t, index_t, bool, const T*, \
                           report*);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
