// Geometry of launches as pure functions, and the two kernels that run a piece of work for each
// item. Device code.
#pragma once

#include "zo/cuda/device_code.hpp"

#if !ZO_DEVICE_CODE
#error "zo/cuda/launch.hpp holds device code: compile this file with nvcc (name it *.cu)"
#endif

#include <cuda_runtime.h>

#include <algorithm>

#include "zo/config.hpp"
#include "zo/cuda/error.hpp"

namespace zo::cuda::detail {

inline constexpr int block_threads = 256;
inline constexpr index_t most_grid_rows = 65535;  // of a grid in y

struct launch_shape {
  unsigned blocks = 1;  // in x
  unsigned rows = 1;    // in y
  unsigned threads = block_threads;
};

/// A thread for each of `items` in each of `rows`, up to a grid of at most 2^16 blocks a row; every
/// thread walks on by the size of the grid until all items are done. Items are independent, so no
/// result depends on the shape. Few items get blocks no larger than they need, in whole warps.
constexpr launch_shape shape_for(index_t items, index_t rows = 1) {
  constexpr index_t warp = 32, most_blocks = index_t{1} << 16;
  const index_t threads =
      std::clamp((items + warp - 1) / warp * warp, warp, static_cast<index_t>(block_threads));
  const index_t blocks = std::clamp((items + threads - 1) / threads, index_t{1}, most_blocks);
  return {static_cast<unsigned>(blocks),
          static_cast<unsigned>(std::clamp(rows, index_t{1}, most_grid_rows)),
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
__global__ void __launch_bounds__(block_threads, 1) run_items(Piece piece, index_t items) {
  const index_t stride = static_cast<index_t>(gridDim.x) * blockDim.x;
  index_t item = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; item < items; item += stride) piece(item);
}

template <class Piece>
__global__ void __launch_bounds__(block_threads, 1)
    run_rows(Piece piece, index_t rows, index_t items) {
  const index_t stride = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t row = blockIdx.y; row < rows; row += gridDim.y) {
    index_t item = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; item < items; item += stride) piece(row, item);
  }
}

/// piece(item) for item = 0 … items-1.
template <class Piece>
void for_items(cudaStream_t stream, index_t items, const Piece& piece, const char* what) {
  if (items == 0) return;
  const cudaLaunchConfig_t config = configuration(stream, shape_for(items));
  check(cudaLaunchKernelEx(&config, run_items<Piece>, piece, items), what);
}

/// piece(row, item) for every row and item.
template <class Piece>
void for_rows(cudaStream_t stream, index_t rows, index_t items, const Piece& piece,
              const char* what) {
  if (rows == 0 || items == 0) return;
  const cudaLaunchConfig_t config = configuration(stream, shape_for(items, rows));
  check(cudaLaunchKernelEx(&config, run_rows<Piece>, piece, rows, items), what);
}

}  // namespace zo::cuda::detail
