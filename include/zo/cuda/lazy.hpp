// Lazy objectives on the device: each share of each candidate is a GPU thread that makes the
// coordinates it reads. Device code: include it, by zo/cuda.hpp, in files that nvcc compiles.
//
// A query reads x once and writes one number for each 32,768 coordinates. Compile with -fmad=false,
// or write fused multiply-adds yourself, where losses shall have the bits of the CPU.
#pragma once

#include "zo/cuda/device_code.hpp"

#if !ZO_DEVICE_CODE
#error "zo/cuda/lazy.hpp holds device code: compile this file with nvcc (name it *.cu)"
#endif

#include <cuda_runtime.h>

#include <algorithm>
#include <type_traits>

#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/cuda/asker.hpp"
#include "zo/cuda/cge.hpp"
#include "zo/cuda/rge.hpp"
#include "zo/difference.hpp"
#include "zo/lazy.hpp"

namespace zo::cuda::detail {

using zo::detail::slice;
using zo::detail::slices;

// How kernels make share `number` of candidate j.
template <class T>
struct plain_shares {
  plain_point<T> point;
  __device__ share<T> operator()(index_t, index_t number) const {
    return {point.x, point.dimension, number};
  }
};

template <class T, law Kind>
struct perturbed_shares {
  direction_maker<T> made;
  const std::uint64_t* step_counter;

  __device__ zo::detail::perturbed_share<T, Kind> operator()(index_t j, index_t number) const {
    const index_t k = made.sides == 1 ? j : j >> 1;
    stream from = made.directions.from;
    if (step_counter != nullptr) from.step += *step_counter;
    from.number += static_cast<std::uint32_t>(k);
    const double factor = made.directions.factors == nullptr ? 1.0 : made.directions.factors[k];
    const double side_of_j = zo::detail::side(static_cast<int>(made.sides == 1 ? 0 : j & 1));
    return {made.x, made.dimension, number, from, static_cast<T>(side_of_j * made.step * factor)};
  }
};

template <class T>
struct moved_shares {
  coordinate_steps<T> steps;

  __device__ zo::detail::moved_share<T> operator()(index_t j, index_t number) const {
    const index_t k = steps.first + (steps.sides == 1 ? j : j >> 1);
    const index_t i = steps.list == nullptr ? k : steps.list[k];
    const double side_of_j = zo::detail::side(static_cast<int>(steps.sides == 1 ? 0 : j & 1));
    return {steps.x, steps.dimension, number, i,
            zo::detail::step_from(steps.x[i], side_of_j, steps.smoothing, steps.relative)};
  }
};

// The sum of what the threads of a block hold, in the order of zo::detail::slice_tree.
__device__ inline double block_tree(double* sums, double mine) {
  const index_t at = threadIdx.x;
  sums[at] = mine;
  for (index_t half = slice / 2; half >= 1; half /= 2) {
    __syncthreads();
    zo::detail::slice_tree_level(sums, at, half);
  }
  __syncthreads();
  const double sum = sums[0];
  __syncthreads();
  return sum;
}

// A block a slice of a candidate (blockIdx.y), a thread a share.
template <class F, class Shares>
__global__ void __launch_bounds__(slice)
    lazy_parts(F f, Shares shares, sample_id sample, index_t first, index_t slice_count,
               double* partial) {
  __shared__ double sums[slice];
  for (index_t s = blockIdx.x; s < slice_count; s += gridDim.x) {
    const index_t number = s * slice + threadIdx.x;
    const double part = zo::detail::part_of(f, shares(first + blockIdx.y, number), sample);
    const double sum = block_tree(sums, part);
    if (threadIdx.x == 0) partial[blockIdx.y * slice_count + s] = sum;
  }
}

// A block a candidate, a thread a strand.
template <class F>
__global__ void __launch_bounds__(slice)
    lazy_sums(F f, index_t slice_count, const double* partial, double* losses) {
  __shared__ double sums[slice];
  double strand = 0;
  for (index_t s = threadIdx.x; s < slice_count; s += slice) {
    strand += partial[blockIdx.x * slice_count + s];
  }
  const double sum = block_tree(sums, strand);
  if (threadIdx.x == 0) losses[blockIdx.x] = zo::detail::finished(f, sum);
}

template <class F, class Shares>
void ask_shares(const place& at, const F& f, const Shares& shares, sample_id sample, index_t first,
                index_t count, index_t dimension, double* partial, double* losses) {
  static_assert(std::is_trivially_copyable_v<F>,
                "zo::cuda: a lazy objective is copied to the GPU byte by byte: give it numbers and "
                "pointers to device memory, no std::vector");
  const index_t slice_count = slices(dimension);
  constexpr index_t most_blocks = index_t{1} << 16;
  cudaLaunchConfig_t config{};
  config.stream = at.stream;
  config.blockDim = dim3(static_cast<unsigned>(slice), 1, 1);
  config.gridDim = dim3(static_cast<unsigned>(std::min(slice_count, most_blocks)),
                        static_cast<unsigned>(count), 1);
  check(cudaLaunchKernelEx(&config, lazy_parts<F, Shares>, f, shares, sample, first, slice_count,
                           partial),
        "launching a lazy objective");
  config.gridDim = dim3(static_cast<unsigned>(count), 1, 1);
  check(cudaLaunchKernelEx(&config, lazy_sums<F>, f, slice_count,
                           static_cast<const double*>(partial), losses),
        "launching the sums of a lazy objective");
}

template <class T, class F, class Maker>
void ask_lazily(const place& at, const F& f, const Maker& maker, sample_id sample, index_t first,
                index_t count, double* partial, double* losses) {
  if constexpr (std::same_as<Maker, plain_point<T>>) {
    ask_shares(at, f, plain_shares<T>{maker}, sample, first, count, maker.dimension, partial,
               losses);
  } else if constexpr (std::same_as<Maker, coordinate_maker<T>>) {
    ask_shares(at, f, moved_shares<T>{maker.steps}, sample, first, count, maker.steps.dimension,
               partial, losses);
  } else if (maker.directions.kind == law::gaussian) {
    ask_shares(at, f, perturbed_shares<T, law::gaussian>{maker, at.step_counter}, sample, first,
               count, maker.dimension, partial, losses);
  } else {
    ask_shares(at, f, perturbed_shares<T, law::rademacher>{maker, at.step_counter}, sample, first,
               count, maker.dimension, partial, losses);
  }
}

}  // namespace zo::cuda::detail
