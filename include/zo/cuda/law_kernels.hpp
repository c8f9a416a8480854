// The kernels of directions, for any law: those of compiled_laws are compiled in the library, yours
// with the file that uses it. Device code: include it, by zo/cuda.hpp, in files that nvcc compiles.
//
// Work of a thread: one lane of one counter block (lane_sum, lane_squares), tested on the CPU by
// direction_lane_test. Memory: x read and out written once, in runs of 16 coordinates; directions
// are never stored.
#pragma once

#include "zo/cuda/device_code.hpp"

#if !ZO_DEVICE_CODE
#error "zo/cuda/law_kernels.hpp holds device code: compile this file with nvcc (name it *.cu)"
#endif

#include <algorithm>
#include <cstdint>

#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/difference.hpp"
#include "zo/direction_lane.hpp"
#include "zo/law.hpp"
#include "zo/random.hpp"

namespace zo::cuda::detail {

// The stream at the step that the counter has reached.
__device__ inline stream at_step(stream from, const std::uint64_t* step_counter) {
  if (step_counter != nullptr) from.step += *step_counter;
  return from;
}

// Direction k of row b.
__device__ inline stream direction_of(const row_directions& all, const std::uint64_t* step_counter,
                                      index_t row, index_t k) {
  stream from = at_step(all.from, step_counter);
  from.number += static_cast<std::uint32_t>(row * all.per_row + k);
  return from;
}

template <class L, class T>
struct candidate_piece {
  candidates<T> work;
  const std::uint64_t* step_counter;

  __device__ void operator()(index_t place, index_t item) const {
    const row_directions& all = work.directions;
    const auto [k, side, row] = zo::detail::candidate_of(work.first + place, all.rows, work.sides);
    const double factor = all.factors == nullptr ? 1.0 : all.factors[k * all.rows + row];
    const T h = static_cast<T>(zo::detail::side(side) * work.step * factor);
    zo::detail::lane_sum<T, L>{direction_of(all, step_counter, row, k),
                               1,
                               &h,
                               0,
                               work.dimension,
                               work.x + row * work.dimension,
                               work.out + place * work.dimension}(item);
  }
};

template <class L, class T>
struct weighted_piece {
  weighted_sums<T> work;
  const std::uint64_t* step_counter;

  __device__ void operator()(index_t row, index_t item) const {
    T* const to = work.g + row * work.dimension;
    zo::detail::lane_sum<T, L>{direction_of(work.directions, step_counter, row, 0),
                               work.count,
                               work.weights + row * work.count,
                               0,
                               work.dimension,
                               work.fresh ? nullptr : to,
                               to}(item);
  }
};

template <class L, class T>
struct perturbed_piece {
  perturbed<T> work;
  const std::uint64_t* step_counter;

  __device__ void operator()(index_t item) const {
    const auto h = work.h;  // in a register: the address of a kernel's argument costs a stack
    zo::detail::lane_sum<working<T>, L, T>{
        at_step(work.from, step_counter), 1, &h, 0, work.dimension, work.x, work.out}(item);
  }
};

template <class L, class T>
struct accumulated_piece {
  accumulated<T> work;
  const std::uint64_t* step_counter;

  __device__ void operator()(index_t item) const {
    zo::detail::lane_sum<working<T>, L, T>{at_step(work.from, step_counter),
                                           work.count,
                                           work.weights,
                                           0,
                                           work.dimension,
                                           work.x,
                                           work.x}(item);
  }
};

// A block adds up 16 tiles, a thread a lane; blockIdx.y is the direction, counted from `first`.
template <class L>
__global__ void __launch_bounds__(block_threads)
    square_tiles(tile_squares work, const std::uint64_t* step_counter, index_t tile_count) {
  using zo::detail::lanes;
  __shared__ double sums[block_threads];
  const index_t lane = threadIdx.x % lanes;
  double* const own = sums + (threadIdx.x - lane);
  const row_directions& all = work.directions;
  const index_t number = work.first + blockIdx.y;
  const stream from = direction_of(all, step_counter, number % all.rows, number / all.rows);
  double* const out = work.out + blockIdx.y * tile_count;
  // Every thread of a block takes every turn, so that all of them meet at each barrier.
  const index_t turn = static_cast<index_t>(gridDim.x) * (block_threads / lanes);
  for (index_t start = index_t{blockIdx.x} * (block_threads / lanes); start < tile_count;
       start += turn) {
    const index_t tile = start + threadIdx.x / lanes;
    const zo::detail::lane_squares<L> squares{from, work.dimension};
    own[lane] = tile < tile_count ? squares(tile * lanes + lane) : 0.0;
    for (index_t half = lanes / 2; half >= 1; half /= 2) {
      __syncthreads();
      zo::detail::lane_tree_level(own, lane, half);
    }
    if (lane == 0 && tile < tile_count) out[tile] = own[0];
    __syncthreads();
  }
}

template <class L, class T>
index_t items_of_row(index_t dimension) {
  return zo::detail::lane_sum<T, L>{{}, 1, nullptr, 0, dimension}.items();
}

template <class L, class T>
void launch(const stream_context& at, const candidates<T>& work) {
  for_rows(at.stream, work.count, items_of_row<L, T>(work.dimension),
           candidate_piece<L, T>{work, at.step_counter}, "launching the kernel of candidates");
}
template <class L, class T>
void launch(const stream_context& at, const weighted_sums<T>& work) {
  for_rows(at.stream, work.directions.rows, items_of_row<L, T>(work.dimension),
           weighted_piece<L, T>{work, at.step_counter},
           "launching the kernel of weighted directions");
}
template <class L, class T>
void launch(const stream_context& at, const perturbed<T>& work) {
  for_items(at.stream, items_of_row<L, T>(work.dimension),
            perturbed_piece<L, T>{work, at.step_counter}, "launching the kernel of directions");
}
template <class L, class T>
void launch(const stream_context& at, const accumulated<T>& work) {
  for_items(at.stream, items_of_row<L, T>(work.dimension),
            accumulated_piece<L, T>{work, at.step_counter}, "launching the kernel of directions");
}
template <class L>
void launch(const stream_context& at, const tile_squares& work) {
  const index_t tile_count = tiles(work.dimension);
  const launch_shape shape{static_cast<unsigned>(std::min((tile_count + 15) / 16, index_t{4096})),
                           static_cast<unsigned>(work.count), block_threads};
  const cudaLaunchConfig_t config = configuration(at.stream, shape);
  check(cudaLaunchKernelEx(&config, square_tiles<L>, work, at.step_counter, tile_count),
        "launching the kernel of squares");
}

}  // namespace zo::cuda::detail
