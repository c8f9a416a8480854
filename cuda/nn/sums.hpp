// Sums by tiles of rows, added up by a warp for each channel. Device code.
#pragma once

#include "cuda/nn/change.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

// A warp for each channel of each probe: use(probe, channel, sum, squares).
template <class T, class Use>
__global__ void __launch_bounds__(block_threads)
    sum_tiles(Use use, index_t probes, int channels, index_t tiles, const T* partial) {
  constexpr int warp = 32;
  const auto lane = static_cast<int>(threadIdx.x) % warp;
  const index_t warps = static_cast<index_t>(gridDim.x) * (block_threads / warp);
  index_t item = static_cast<index_t>(blockIdx.x) * (block_threads / warp) + threadIdx.x / warp;
  for (; item < probes * channels; item += warps) {
    const index_t probe = item / channels;
    const int c = static_cast<int>(item - probe * channels);
    const T* const from = partial + (probe * 2 * channels + c) * tiles;
    double sum = 0, squares = 0;
    for (index_t tile = lane; tile < tiles; tile += warp) {
      sum += static_cast<double>(from[tile]);
      squares += static_cast<double>(from[channels * tiles + tile]);
    }
    for (int apart = warp / 2; apart >= 1; apart /= 2) {
      sum += __shfl_xor_sync(0xffffffffU, sum, apart);
      squares += __shfl_xor_sync(0xffffffffU, squares, apart);
    }
    if (lane == 0) use(probe, c, sum, squares);
  }
}

template <class T, class Use>
void for_sums(cudaStream_t stream, index_t probes, int channels, index_t tiles, const T* partial,
              const Use& use) {
  const index_t blocks = std::clamp<index_t>((probes * channels + 7) / 8, 1, index_t{1} << 16);
  const cudaLaunchConfig_t config =
      configuration(stream, {static_cast<unsigned>(blocks), 1, block_threads});
  check(cudaLaunchKernelEx(&config, sum_tiles<T, Use>, use, probes, channels, tiles, partial),
        "launching the sums of a batch norm");
}

// Values of one channel, from row to row.
template <class T>
struct channel_of {
  const T* values;
  int channels;
  __device__ double operator()(index_t row) const {
    return static_cast<double>(values[row * channels]);
  }
};

}  // namespace zo::cuda::detail
