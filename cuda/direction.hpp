// Directions on the device: the same bits as on the CPU.
#pragma once

#include <cuda_runtime_api.h>

#include "zo/config.hpp"
#include "zo/direction.hpp"

namespace zo::cuda::detail {

/// out[i] = x[i] plus weights[k] times raw value i of direction from.number + k, k ascending, as
/// zo::detail::accumulate. All pointers are device memory; `out` may be `x`; `first` is a multiple
/// of `tile`. Enqueued on `on`, waits for nothing. x is read once and out written once, whatever
/// the number of directions. Throws zo::cuda::error.
template <class T>
void add_directions(cudaStream_t on, zo::detail::law kind, const stream& from, index directions,
                    const T* weights, index first, index count, const T* x, T* out);

/// factors[k] = 1 / norm of the raw Gaussian direction from.number + k of `dimension` coordinates,
/// for k = 0 … directions-1, as zo::detail::inverse_norm. `tile_sums` holds directions *
/// tiles(dimension) numbers. All pointers are device memory. Enqueued on `on`, waits for nothing.
void inverse_norms(cudaStream_t on, const stream& from, index directions, index dimension,
                   double* tile_sums, double* factors);

constexpr index tiles(index dimension) {
  return (dimension + zo::detail::tile - 1) / zo::detail::tile;
}

}  // namespace zo::cuda::detail
