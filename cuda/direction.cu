// Work of a thread: one lane of one counter block (lane_sum), tested on the CPU by
// direction_lane_test. Memory: x read and out written once, in runs of 16 coordinates.
#include "cuda/direction.hpp"

#include "cuda/launch.hpp"
#include "zo/direction_lane.hpp"

namespace zo::cuda::detail {

namespace {

using zo::detail::lane_squares;
using zo::detail::lane_sum;
using zo::detail::lane_tree_level;
using zo::detail::lanes;
using zo::detail::law;

template <class Piece>
__global__ void __launch_bounds__(256) run_pieces(Piece piece, zo::index items) {
  const zo::index stride = static_cast<zo::index>(gridDim.x) * blockDim.x;
  zo::index item = static_cast<zo::index>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; item < items; item += stride) piece(item);
}

// A block adds up 16 tiles, a thread a lane; blockIdx.y is the direction.
__global__ void __launch_bounds__(256)
    square_tiles(stream from, zo::index dimension, zo::index tile_count, double* tile_sums) {
  __shared__ double sums[256];
  const zo::index lane = threadIdx.x % lanes;
  double* own = sums + (threadIdx.x - lane);
  from.number += blockIdx.y;
  double* out = tile_sums + blockIdx.y * tile_count;
  // Every thread of a block takes every turn, so that all of them meet at each barrier.
  for (zo::index first = zo::index{blockIdx.x} * 16; first < tile_count; first += gridDim.x * 16) {
    const zo::index tile = first + threadIdx.x / lanes;
    own[lane] = tile < tile_count ? lane_squares{from, dimension}(tile * lanes + lane) : 0.0;
    for (zo::index half = lanes / 2; half >= 1; half /= 2) {
      __syncthreads();
      lane_tree_level(own, lane, half);
    }
    if (lane == 0 && tile < tile_count) out[tile] = own[0];
    __syncthreads();
  }
}

// One thread a direction: the tiles are added one after another, as on the CPU.
__global__ void invert_norms(zo::index directions, zo::index tile_count, const double* tile_sums,
                             double* factors) {
  const zo::index k = zo::index{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= directions) return;
  double total = 0;
  for (zo::index tile = 0; tile < tile_count; ++tile) total += tile_sums[k * tile_count + tile];
  factors[k] = 1.0 / sqrt(total);
}

template <class Piece>
void launch(cudaStream_t on, const Piece& piece) {
  constexpr zo::index most_blocks = zo::index{1} << 16;
  const zo::index items = piece.items();
  if (items == 0) return;
  const launch_shape shape = shape_for(items, most_blocks);
  run_pieces<<<shape.blocks, shape.threads, 0, on>>>(piece, items);
  check(cudaGetLastError(), "launching the direction kernel");
}

}  // namespace

template <class T>
void add_directions(cudaStream_t on, law kind, const stream& from, zo::index directions,
                    const T* weights, zo::index first, zo::index count, const T* x, T* out) {
  if (kind == law::gaussian) {
    launch(on, lane_sum<T, law::gaussian>{from, directions, weights, first, count, x, out});
  } else {
    launch(on, lane_sum<T, law::rademacher>{from, directions, weights, first, count, x, out});
  }
}

void inverse_norms(cudaStream_t on, const stream& from, zo::index directions, zo::index dimension,
                   double* tile_sums, double* factors) {
  constexpr zo::index most_directions = 65535;  // of a grid in y
  const zo::index tile_count = tiles(dimension);
  for (zo::index k = 0; k < directions; k += most_directions) {
    const zo::index count = std::min(most_directions, directions - k);
    stream at = from;
    at.number += static_cast<std::uint32_t>(k);
    const launch_shape shape = shape_for(tile_count * lanes, 4096);
    square_tiles<<<dim3(shape.blocks, static_cast<unsigned>(count)), shape.threads, 0, on>>>(
        at, dimension, tile_count, tile_sums + k * tile_count);
    check(cudaGetLastError(), "launching the kernel of squares");
  }
  const launch_shape shape = shape_for(directions, zo::index{1} << 30);
  invert_norms<<<shape.blocks, shape.threads, 0, on>>>(directions, tile_count, tile_sums, factors);
  check(cudaGetLastError(), "launching the kernel of norms");
}

template void add_directions(cudaStream_t, law, const stream&, zo::index, const float*, zo::index,
                             zo::index, const float*, float*);
template void add_directions(cudaStream_t, law, const stream&, zo::index, const double*, zo::index,
                             zo::index, const double*, double*);

}  // namespace zo::cuda::detail
