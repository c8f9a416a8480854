// Geometry of launches as pure functions, and the two kernels that run a piece of work for each
// item.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "zo/config.hpp"
#include "zo/cuda/error.hpp"

namespace zo::cuda::detail {

inline constexpr int block_threads = 256;
inline constexpr index most_grid_rows = 65535;  // of a grid in y

struct launch_shape {
  unsigned blocks = 1;  // in x
  unsigned rows = 1;    // in y
  unsigned threads = block_threads;
};

/// A thread for each of `items` in each of `rows`, up to a grid of at most 2^16 blocks a row; every
/// thread walks on by the size of the grid until all items are done. Items are independent, so no
/// result depends on the shape. Few items get blocks no larger than they need, in whole warps.
constexpr launch_shape shape_for(index items, index rows = 1) {
  constexpr index warp = 32, most_blocks = index{1} << 16;
  const index threads =
      std::clamp((items + warp - 1) / warp * warp, warp, static_cast<index>(block_threads));
  const index blocks = std::clamp((items + threads - 1) / threads, index{1}, most_blocks);
  return {static_cast<unsigned>(blocks),
          static_cast<unsigned>(std::clamp(rows, index{1}, most_grid_rows)),
          static_cast<unsigned>(threads)};
}

inline cudaLaunchConfig_t configuration(cudaStream_t stream, const launch_shape& shape) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks, shape.rows, 1);
  config.blockDim = dim3(shape.threads, 1, 1);
  config.stream = stream;
  return config;
}

template <class Piece>
__global__ void __launch_bounds__(block_threads, 1) run_items(Piece piece, zo::index items) {
  const zo::index stride = static_cast<zo::index>(gridDim.x) * blockDim.x;
  zo::index item = static_cast<zo::index>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; item < items; item += stride) piece(item);
}

template <class Piece>
__global__ void __launch_bounds__(block_threads, 1)
    run_rows(Piece piece, zo::index rows, zo::index items) {
  const zo::index stride = static_cast<zo::index>(gridDim.x) * blockDim.x;
  for (zo::index row = blockIdx.y; row < rows; row += gridDim.y) {
    zo::index item = static_cast<zo::index>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; item < items; item += stride) piece(row, item);
  }
}

/// piece(item) for item = 0 … items-1.
template <class Piece>
void for_items(cudaStream_t stream, index items, const Piece& piece, const char* what) {
  if (items == 0) return;
  const cudaLaunchConfig_t config = configuration(stream, shape_for(items));
  check(cudaLaunchKernelEx(&config, run_items<Piece>, piece, items), what);
}

/// piece(row, item) for every row and item.
template <class Piece>
void for_rows(cudaStream_t stream, index rows, index items, const Piece& piece, const char* what) {
  if (rows == 0 || items == 0) return;
  const cudaLaunchConfig_t config = configuration(stream, shape_for(items, rows));
  check(cudaLaunchKernelEx(&config, run_rows<Piece>, piece, rows, items), what);
}

}  // namespace zo::cuda::detail
