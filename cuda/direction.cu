// Directions on the device. Work of a thread: one lane of one counter block (lane_sum,
// lane_squares), tested on the CPU by direction_lane_test. Memory: x read and out written once, in
// runs of 16 coordinates; directions are never stored.
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/difference.hpp"
#include "zo/direction_lane.hpp"

namespace zo::cuda::detail {

namespace {

using zo::detail::lane_squares;
using zo::detail::lane_sum;
using zo::detail::lane_tree_level;
using zo::detail::lanes;
using zo::detail::side;

// Direction k of row b, at the step that the counter has reached.
__device__ stream direction_of(const row_directions& all, const std::uint64_t* step_counter,
                               index_t row, index_t k) {
  stream from = all.from;
  if (step_counter != nullptr) from.step += *step_counter;
  from.number += static_cast<std::uint32_t>(row * all.per_row + k);
  return from;
}

template <class T, law Kind>
struct candidate_piece {
  row_directions directions;
  const std::uint64_t* step_counter;
  int sides;
  double step;
  const T* x;
  index_t dimension;
  index_t first;
  T* out;

  __device__ void operator()(index_t candidate, index_t item) const {
    const index_t j = first + candidate;
    // A division of 64 bits costs as much as a normal: none is made for a single row.
    const bool single = directions.rows == 1;
    const index_t row = single ? 0 : j % directions.rows;
    const index_t pair = single ? j : j / directions.rows;
    const index_t k = sides == 1 ? pair : pair >> 1;
    const double factor =
        directions.factors == nullptr ? 1.0 : directions.factors[k * directions.rows + row];
    const double side_of_j = side(static_cast<int>(sides == 1 ? 0 : pair & 1));
    const T h = static_cast<T>(side_of_j * step * factor);
    lane_sum<T, Kind>{direction_of(directions, step_counter, row, k),
                      1,
                      &h,
                      0,
                      dimension,
                      x + row * dimension,
                      out + candidate * dimension}(item);
  }
};

template <class T, law Kind>
struct combine_piece {
  row_directions directions;
  const std::uint64_t* step_counter;
  index_t count;
  const T* weights;
  index_t dimension;
  bool fresh;
  T* g;

  __device__ void operator()(index_t row, index_t item) const {
    T* const to = g + row * dimension;
    lane_sum<T, Kind>{direction_of(directions, step_counter, row, 0),
                      count,
                      weights + row * count,
                      0,
                      dimension,
                      fresh ? nullptr : to,
                      to}(item);
  }
};

// Directions onto parameters stored as T: one at step h, or several weighted ones.
template <class T, law Kind, bool Weighted>
struct stored_piece {
  using number = typename working_type_of<T>::type;
  stream from;
  const std::uint64_t* step_counter;
  number h;
  index_t count;
  const number* weights;
  index_t dimension;
  const T* x;
  T* out;

  __device__ void operator()(index_t item) const {
    stream at = from;
    if (step_counter != nullptr) at.step += *step_counter;
    if constexpr (Weighted) {
      lane_sum<number, Kind, T>{at, count, weights, 0, dimension, x, out}(item);
    } else {
      const number step = h;  // in a register: the address of a kernel's argument costs a stack
      lane_sum<number, Kind, T>{at, 1, &step, 0, dimension, x, out}(item);
    }
  }
};

template <class T, law Kind, bool Weighted, class Number>
void launch_stored(const place& at, const stream& from, Number h, index_t count,
                   const Number* weights, index_t dimension, const T* x, T* out) {
  const lane_sum<Number, Kind, T> shape{{}, 1, nullptr, 0, dimension};
  for_items(
      at.stream, shape.items(),
      stored_piece<T, Kind, Weighted>{from, at.step_counter, h, count, weights, dimension, x, out},
      "launching the kernel of directions");
}

// Calls `run` with the piece of the law and the number of its items.
template <class T, template <class, law> class Piece, class... Fields>
void launch_piece(cudaStream_t on, const row_directions& directions, index_t rows,
                  index_t dimension, const char* what, const Fields&... fields) {
  if (directions.kind == law::gaussian) {
    const lane_sum<T, law::gaussian> shape{{}, 1, nullptr, 0, dimension};
    for_rows(on, rows, shape.items(), Piece<T, law::gaussian>{directions, fields...}, what);
  } else {
    const lane_sum<T, law::rademacher> shape{{}, 1, nullptr, 0, dimension};
    for_rows(on, rows, shape.items(), Piece<T, law::rademacher>{directions, fields...}, what);
  }
}

// A block adds up 16 tiles, a thread a lane; blockIdx.y is the direction, counted from `first`.
__global__ void __launch_bounds__(block_threads)
    square_tiles(row_directions directions, const std::uint64_t* step_counter, index_t first,
                 index_t dimension, index_t tile_count, double* tile_sums) {
  __shared__ double sums[block_threads];
  const index_t lane = threadIdx.x % lanes;
  double* const own = sums + (threadIdx.x - lane);
  const index_t number = first + blockIdx.y;
  const stream from =
      direction_of(directions, step_counter, number % directions.rows, number / directions.rows);
  double* const out = tile_sums + blockIdx.y * tile_count;
  // Every thread of a block takes every turn, so that all of them meet at each barrier.
  const index_t turn = static_cast<index_t>(gridDim.x) * (block_threads / lanes);
  for (index_t start = index_t{blockIdx.x} * (block_threads / lanes); start < tile_count;
       start += turn) {
    const index_t tile = start + threadIdx.x / lanes;
    own[lane] = tile < tile_count ? lane_squares{from, dimension}(tile * lanes + lane) : 0.0;
    for (index_t half = lanes / 2; half >= 1; half /= 2) {
      __syncthreads();
      lane_tree_level(own, lane, half);
    }
    if (lane == 0 && tile < tile_count) out[tile] = own[0];
    __syncthreads();
  }
}

// A block a direction: the tiles are added one after another, as on the CPU, by one thread; the
// others bring them, so that it never waits for memory.
__global__ void __launch_bounds__(block_threads)
    invert_norms(index_t tile_count, const double* tile_sums, double* factors) {
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

template <class T>
void write_candidates(const place& at, const row_directions& directions, int sides, double step,
                      const T* x, index_t dimension, index_t first, index_t count, T* out) {
  launch_piece<T, candidate_piece>(at.stream, directions, count, dimension,
                                   "launching the kernel of candidates", at.step_counter, sides,
                                   step, x, dimension, first, out);
}

template <class T>
void combine(const place& at, const row_directions& directions, index_t count, const T* weights,
             index_t dimension, bool fresh, T* g) {
  launch_piece<T, combine_piece>(at.stream, directions, directions.rows, dimension,
                                 "launching the kernel of weighted directions", at.step_counter,
                                 count, weights, dimension, fresh, g);
}

template <class T>
void perturb(const place& at, law kind, const stream& from, index_t dimension, const T* x,
             typename working_type_of<T>::type h, T* out) {
  using number = typename working_type_of<T>::type;
  const number* const none = nullptr;
  kind == law::gaussian
      ? launch_stored<T, law::gaussian, false>(at, from, h, 1, none, dimension, x, out)
      : launch_stored<T, law::rademacher, false>(at, from, h, 1, none, dimension, x, out);
}

template <class T>
void accumulate(const place& at, law kind, const stream& from, index_t count,
                const typename working_type_of<T>::type* weights, index_t dimension, T* x) {
  using number = typename working_type_of<T>::type;
  kind == law::gaussian
      ? launch_stored<T, law::gaussian, true>(at, from, number(0), count, weights, dimension, x, x)
      : launch_stored<T, law::rademacher, true>(at, from, number(0), count, weights, dimension, x,
                                                x);
}

void inverse_norms(const place& at, const row_directions& directions, index_t count,
                   index_t dimension, index_t at_once, double* partial, double* factors) {
  const index_t tile_count = tiles(dimension);
  const index_t all = count * directions.rows;
  for (index_t first = 0; first < all; first += at_once) {
    const index_t here = std::min(at_once, all - first);
    const launch_shape shape{static_cast<unsigned>(std::min((tile_count + 15) / 16, index_t{4096})),
                             static_cast<unsigned>(here), block_threads};
    const cudaLaunchConfig_t squares = configuration(at.stream, shape);
    check(cudaLaunchKernelEx(&squares, square_tiles, directions, at.step_counter, first, dimension,
                             tile_count, partial),
          "launching the kernel of squares");
    const cudaLaunchConfig_t norms =
        configuration(at.stream, {static_cast<unsigned>(here), 1, block_threads});
    check(cudaLaunchKernelEx(&norms, invert_norms, tile_count, static_cast<const double*>(partial),
                             factors + first),
          "launching the kernel of norms");
  }
}

template void write_candidates(const place&, const row_directions&, int, double, const float*,
                               index_t, index_t, index_t, float*);
template void write_candidates(const place&, const row_directions&, int, double, const double*,
                               index_t, index_t, index_t, double*);
template void combine(const place&, const row_directions&, index_t, const float*, index_t, bool,
                      float*);
template void combine(const place&, const row_directions&, index_t, const double*, index_t, bool,
                      double*);

#define ZO_INSTANTIATE(T, N)                                                            \
  template void perturb<T>(const place&, law, const stream&, index_t, const T*, N, T*); \
  template void accumulate<T>(const place&, law, const stream&, index_t, const N*, index_t, T*);
ZO_INSTANTIATE(float, float)
ZO_INSTANTIATE(double, double)
ZO_INSTANTIATE(bfloat16, float)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
