// Estimates along listed directions on the device.
#include "zo/candidate.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/law.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct listed_piece {
  listed_steps<T> steps;
  index_t first;
  T* slots;

  __device__ void operator()(index_t place, index_t i) const {
    const auto [k, side, row] = zo::detail::candidate_of(first + place, steps.rows, steps.sides);
    slots[place * steps.dimension + i] = zo::detail::fused(steps.step(side), steps.direction(k)[i],
                                                           steps.x[row * steps.dimension + i]);
  }
};

// A thread a coordinate: the order of the sum is that of the CPU, and a group's directions are read
// once a row.
template <class T>
struct listed_sum_piece {
  listed_steps<T> steps;
  index_t count;
  const T* weights;
  T* gradients;
  tally known;

  __device__ void operator()(index_t row, index_t i) const {
    const T* const own = weights + row * count;
    T* const to = gradients + row * steps.dimension + i;
    T sum = *to;
    for (index_t k = 0; k < count; ++k) {
      sum = zo::detail::fused(own[k], steps.direction(k)[i], sum);
    }
    *to = sum;
    if (!__builtin_isfinite(sum)) known.beyond[row] = 1;
  }
};

}  // namespace

template <class T>
void write_listed(const stream_context& at, const listed_steps<T>& steps, index_t first,
                  index_t count, T* slots) {
  for_rows(at.stream, count, steps.dimension, listed_piece<T>{steps, first, slots},
           "launching the kernel of candidates");
}

template <class T>
void add_listed(const stream_context& at, const listed_steps<T>& steps, index_t count,
                const T* weights, T* gradients, const tally& known) {
  for_rows(at.stream, steps.rows, steps.dimension,
           listed_sum_piece<T>{steps, count, weights, gradients, known},
           "launching the kernel of weighted directions");
}

#define ZO_INSTANTIATE(T)                                                                          \
  template void write_listed(const stream_context&, const listed_steps<T>&, index_t, index_t, T*); \
  template void add_listed(const stream_context&, const listed_steps<T>&, index_t, const T*, T*,   \
                           const tally&);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
