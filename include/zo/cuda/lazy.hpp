// Lazy objectives on the device: each part of each candidate is a GPU thread that makes the
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

#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/cuda/law_kernels.hpp"
#include "zo/cuda/machine.hpp"
#include "zo/difference.hpp"
#include "zo/lazy.hpp"
#include "zo/slope.hpp"

namespace zo::cuda::detail {

using zo::detail::slice;
using zo::detail::slices;

// How kernels make part `number` of candidate j.
template <class T>
struct plain_parts {
  plain_point<T> point;
  index_t dimension() const { return point.dimension; }
  __device__ point_part<T> operator()(index_t, index_t number) const {
    return {point.x, point.dimension, number};
  }
};

template <class T, class L>
struct perturbed_parts {
  direction_maker<T, L> made;
  const std::uint64_t* step_counter;
  index_t dimension() const { return made.dimension; }

  __device__ zo::detail::perturbed_part<T, L> operator()(index_t j, index_t number) const {
    const row_directions& all = made.directions;
    const auto [k, side, row] = zo::detail::candidate_of(j, 1, made.sides);
    const double factor = all.factors == nullptr ? 1.0 : all.factors[k];
    return {made.x, made.dimension, number, direction_of(all, step_counter, row, k),
            static_cast<T>(zo::detail::side(side) * made.step * factor)};
  }
};

template <class T>
struct moved_parts {
  coordinate_steps<T> steps;
  index_t dimension() const { return steps.dimension; }

  __device__ zo::detail::moved_part<T> operator()(index_t j, index_t number) const {
    const auto at = zo::detail::candidate_of(j, 1, steps.sides);
    const index_t k = steps.first + at.item;
    const index_t i = steps.list == nullptr ? k : steps.list[k];
    return {steps.x, steps.dimension, number, i,
            zo::detail::step_from(steps.x[i], zo::detail::side(at.side), steps.smoothing,
                                  steps.relative)};
  }
};

/// x + h u as one part sees it, u being in memory.
template <class T>
class listed_part {
 public:
  ZO_HD listed_part(const zo::point_part<T>& plain, const T* u, T h)
      : plain_(plain), u_(u), h_(h) {}

  ZO_HD index_t size() const { return plain_.size(); }
  ZO_HD bool empty() const { return plain_.empty(); }
  ZO_HD T operator[](index_t i) const { return zo::detail::fused(h_, u_[i], plain_[i]); }

  template <class Body>
  ZO_HD void each(Body&& body) const {
    plain_.each([&](index_t i, T x) { body(i, zo::detail::fused(h_, u_[i], x)); });
  }

 private:
  zo::point_part<T> plain_;
  const T* u_;
  T h_;
};

template <class T>
struct listed_parts {
  listed_steps<T> steps;
  index_t dimension() const { return steps.dimension; }

  __device__ listed_part<T> operator()(index_t j, index_t number) const {
    const auto at = zo::detail::candidate_of(j, 1, steps.sides);
    return {{steps.x, steps.dimension, number}, steps.direction(at.item), steps.step(at.side)};
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

// A block a slice of a candidate (blockIdx.y), a thread a part.
template <class F, class Parts>
__global__ void __launch_bounds__(slice)
    lazy_parts(F f, Parts parts, sample_id sample, index_t first, index_t slice_count,
               double* partial) {
  __shared__ double sums[slice];
  for (index_t s = blockIdx.x; s < slice_count; s += gridDim.x) {
    const index_t number = s * slice + threadIdx.x;
    const double part = zo::detail::part_of(f, parts(first + blockIdx.y, number), sample);
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

template <class T>
plain_parts<T> parts_of(const stream_context&, const plain_point<T>& maker) {
  return {maker};
}
template <class T>
moved_parts<T> parts_of(const stream_context&, const coordinate_maker<T>& maker) {
  return {maker.steps};
}
template <class T>
listed_parts<T> parts_of(const stream_context&, const listed_maker<T>& maker) {
  return {maker.steps};
}
template <class T, class L>
perturbed_parts<T, L> parts_of(const stream_context& at, const direction_maker<T, L>& maker) {
  return {maker, at.step_counter};
}

template <class T, class F, class Maker>
void ask_lazily(const stream_context& at, const F& f, const Maker& maker, sample_id sample,
                index_t first, index_t count, double* partial, double* losses) {
  static_assert(std::is_trivially_copyable_v<F>,
                "zo::cuda: a lazy objective is copied to the GPU byte by byte: give it numbers and "
                "pointers to device memory, no std::vector");
  const auto parts = parts_of(at, maker);
  const index_t slice_count = slices(parts.dimension());
  constexpr index_t most_blocks = index_t{1} << 16;
  cudaLaunchConfig_t config{};
  config.stream = at.stream;
  config.blockDim = dim3(static_cast<unsigned>(slice), 1, 1);
  config.gridDim = dim3(static_cast<unsigned>(std::min(slice_count, most_blocks)),
                        static_cast<unsigned>(count), 1);
  check(cudaLaunchKernelEx(&config, lazy_parts<F, std::remove_const_t<decltype(parts)>>, f, parts,
                           sample, first, slice_count, partial),
        "launching a lazy objective");
  config.gridDim = dim3(static_cast<unsigned>(count), 1, 1);
  check(cudaLaunchKernelEx(&config, lazy_sums<F>, f, slice_count,
                           static_cast<const double*>(partial), losses),
        "launching the sums of a lazy objective");
}

}  // namespace zo::cuda::detail
