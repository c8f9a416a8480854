// Directions on the device: the kernels of the compiled laws (zo/cuda/law_kernels.hpp), and norms.
#include "zo/cuda/law_kernels.hpp"

namespace zo::cuda::detail {

namespace {

// A block a direction: the tiles are added one after another, as on the CPU, by one thread; the
// others bring them, so that it never waits for memory.
__global__ void __launch_bounds__(block_threads)
    invert_sums(index_t tile_count, const double* tile_sums, double* factors) {
  __shared__ double staged[block_threads];
  const double* const mine = tile_sums + blockIdx.x * tile_count;
  double total = 0;
  for (index_t first = 0; first < tile_count; first += block_threads) {
    const index_t at = first + threadIdx.x;
    if (at < tile_count) staged[threadIdx.x] = mine[at];
    __syncthreads();
    if (threadIdx.x == 0) {
      const index_t left = tile_count - first;
      const int here = left < block_threads ? static_cast<int>(left) : block_threads;
      for (int k = 0; k < here; ++k) total += staged[k];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) factors[blockIdx.x] = 1.0 / sqrt(total);
}

}  // namespace

void invert_norms(const stream_context& at, index_t count, index_t tile_count,
                  const double* tile_sums, double* factors) {
  const cudaLaunchConfig_t config =
      configuration(at.stream, {static_cast<unsigned>(count), 1, block_threads});
  check(cudaLaunchKernelEx(&config, invert_sums, tile_count, tile_sums, factors),
        "launching the kernel of norms");
}

template <class Work>
void enqueue_compiled(int law, const stream_context& at, const Work& work) {
  zo::detail::visit_law(law, [&](auto of) { launch<decltype(of)>(at, work); });
}

#define ZO_INSTANTIATE(Work) \
  template void enqueue_compiled(int, const stream_context&, const Work&);
ZO_INSTANTIATE(candidates<float>)
ZO_INSTANTIATE(candidates<double>)
ZO_INSTANTIATE(weighted_sums<float>)
ZO_INSTANTIATE(weighted_sums<double>)
ZO_INSTANTIATE(perturbed<float>)
ZO_INSTANTIATE(perturbed<double>)
ZO_INSTANTIATE(perturbed<bfloat16>)
ZO_INSTANTIATE(accumulated<float>)
ZO_INSTANTIATE(accumulated<double>)
ZO_INSTANTIATE(accumulated<bfloat16>)
ZO_INSTANTIATE(tile_squares)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
