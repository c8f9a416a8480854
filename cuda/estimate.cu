// What all estimators share: the tally of answers, the end of an estimate, numbers from the host.
#include "zo/candidate.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/finite.hpp"
#include "zo/outcome.hpp"
#include "zo/slope.hpp"

namespace zo::cuda::detail {

namespace {

struct count_failed_piece {
  const double* values;
  tally known;

  __device__ void operator()(index_t k) const {
    if (!__builtin_isfinite(values[k])) atomicAdd(known.failed, 1ULL);
  }
};

struct penalise_piece {
  double* values;
  double penalty;
  tally known;

  __device__ void operator()(index_t k) const {
    if (__builtin_isfinite(values[k])) return;
    atomicAdd(known.failed, 1ULL);
    values[k] = penalty;
  }
};

// A block a row: its answers are added one after another, as on the CPU, by one thread; the others
// bring them, so that it never waits for memory.
__global__ void __launch_bounds__(block_threads)
    add_answers_kernel(index_t rows, index_t each, const double* answers, tally known) {
  __shared__ double staged[block_threads];
  for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
    double sum = known.sums[row], small_sum = known.small_sums[row], count = known.counts[row];
    for (index_t first = 0; first < each; first += block_threads) {
      const index_t j = first + threadIdx.x;
      if (j < each) staged[threadIdx.x] = answers[j * rows + row];
      __syncthreads();
      if (threadIdx.x == 0) {
        const index_t left = each - first;
        const int here = left < block_threads ? static_cast<int>(left) : block_threads;
        for (int k = 0; k < here; ++k) {
          if (!__builtin_isfinite(staged[k])) continue;
          sum += staged[k];
          small_sum += staged[k] * zo::detail::small;
          count += 1;
        }
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      known.sums[row] = sum;
      known.small_sums[row] = small_sum;
      known.counts[row] = count;
    }
  }
}

template <class T>
struct weight_piece {
  index_t rows, count;
  int sides;
  const double* answers;
  const double* base;
  const double* factors;
  slope_scale scale;
  double step;
  T* weights;
  tally known;

  __device__ void operator()(index_t item) const {
    const auto [k, none, row] = zo::detail::candidate_of(item, rows, 1);
    const double* const mine = answers + k * sides * rows;
    for (int side = 0; side < sides; ++side) {
      if (!__builtin_isfinite(mine[side * rows + row])) atomicAdd(known.failed, 1ULL);
    }
    const double factor = factors == nullptr ? 1.0 : factors[item];
    const double lower = sides == 1 ? base[row] : mine[rows + row];
    double slope = zo::detail::slope_along(mine[row], lower, sides == 1, step);
    if (known.faults(row) != 0) slope = __builtin_nan("");
    bool good = false;
    const double by = scale.of_each == nullptr ? scale.of_all : scale.of_each[k];
    weights[row * count + k] = zo::detail::weight_of<T>(by, slope, factor, good);
    if (good) atomicAdd(known.survivors + row, 1ULL);
  }
};

template <class T>
struct fault_piece {
  index_t dimension;
  zo::detail::step_check<T> check;
  const T* x;
  tally known;

  __device__ void operator()(index_t row, index_t i) const {
    const unsigned faults = check(x[row * dimension + i]);
    if (faults & zo::detail::step_is_lost) known.lost[row] = 1;
    if (faults & zo::detail::beyond_range) known.beyond[row] = 1;
  }
};

template <class T>
struct infinite_piece {
  const T* values;
  unsigned long long* found;
  __device__ void operator()(index_t i) const {
    if (!__builtin_isfinite(values[i])) *found = 1;
  }
};

// What a row of a gradient is multiplied by at the end.
template <class T>
__device__ T factor_of(const ending& how, const tally& known, index_t row) {
  const auto good = static_cast<index_t>(known.survivors[row]);
  if (!how.rescale || good == how.asked || good == 0) return T(1);
  return zo::detail::rescaling<T>(how.asked, good);
}

template <class T>
struct gradient_piece {
  ending how;
  tally known;
  index_t dimension;
  const T* gradients;
  __device__ void operator()(index_t row, index_t i) const {
    const T value = gradients[row * dimension + i] * factor_of<T>(how, known, row);
    if (!__builtin_isfinite(value)) known.beyond[row] = 1;
  }
};

// One block. Rows are looked through twice: for what all of them say together, then for their
// losses.
__global__ void __launch_bounds__(block_threads, 1)
    close_kernel(ending how, tally known, const double* base, report* out, double* losses) {
  // A failed query leaves no slope, so that the slopes tell whether any failed.
  int some_base = 0, some_enough = 0, some_short = 0, some_lost = 0, some_beyond = 0;
  const auto needed = static_cast<unsigned long long>(how.drop ? 1 : how.asked);
  for (index_t row = threadIdx.x; row < how.rows; row += block_threads) {
    some_base |= how.uses_base && __builtin_isfinite(base[row]) ? 1 : 0;
    const unsigned faults = known.faults(row);
    const bool enough = faults == 0 && known.survivors[row] >= needed;
    some_lost |= faults & zo::detail::step_is_lost ? 1 : 0;
    some_beyond |= faults & zo::detail::beyond_range ? 1 : 0;
    some_enough |= enough ? 1 : 0;
    some_short |= enough ? 0 : 1;
  }
  some_base = __syncthreads_or(some_base);
  some_enough = __syncthreads_or(some_enough);
  some_short = __syncthreads_or(some_short);
  some_lost = __syncthreads_or(some_lost);
  some_beyond = __syncthreads_or(some_beyond);
  for (index_t row = threadIdx.x; row < how.rows; row += block_threads) {
    const double mean =
        zo::detail::mean_of(known.sums[row], known.small_sums[row], known.counts[row]);
    const double answer = how.uses_base ? base[row] : mean;
    const double loss = __builtin_isfinite(answer) ? answer : answer - answer;  // NaN
    if (losses != nullptr) losses[row] = loss;
    if (row == 0 && how.first) out->value = loss;
  }
  if (threadIdx.x == 0) {
    const bool base_is_there = !how.uses_base || some_base != 0;
    const bool finite = how.infinite == nullptr || *how.infinite == 0;
    const bool enough = finite && (how.drop ? some_enough != 0 : some_short == 0);
    const flaw why = zo::detail::flaw_of(some_lost != 0, some_beyond != 0 || !finite,
                                         static_cast<index_t>(*known.failed));
    const auto mine = static_cast<unsigned long long>(base_is_there && enough ? flaw::none : why);
    out->failed = *known.failed + (how.first ? 0 : out->failed);
    if (how.first || out->why == static_cast<unsigned long long>(flaw::none)) out->why = mine;
  }
}

// Most estimates need nothing here: each thread looks once a row, and goes.
template <class T>
__global__ void __launch_bounds__(block_threads, 1)
    mend_kernel(ending how, tally known, const report* from, index_t dimension, T* gradients) {
  const bool ok = from->why == static_cast<unsigned long long>(flaw::none);
  const index_t stride = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t row = blockIdx.y; row < how.rows; row += gridDim.y) {
    const bool keeps = ok && known.faults(row) == 0;
    // The mean over the slopes that are left, or zeros.
    const T factor = factor_of<T>(how, known, row);
    if (keeps && factor == T(1)) continue;
    T* const g = gradients + row * dimension;
    index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i < dimension; i += stride) g[i] = keeps ? g[i] * factor : T(0);
  }
}

template <class T>
struct zero_piece {
  const report* from;
  T* gradient;
  __device__ void operator()(index_t i) const {
    if (from->why != static_cast<unsigned long long>(flaw::none)) gradient[i] = T(0);
  }
};

struct row_piece {
  index_t first, rows;
  index_t* out;
  __device__ void operator()(index_t k) const {
    out[k] = zo::detail::candidate_of(first + k, rows, 1).row;
  }
};

// Numbers in the arguments of one launch, of 4 KiB in all.
template <class N>
constexpr index_t carried = 3840 / sizeof(N);

template <class N>
struct upload_piece {
  N values[carried<N>];
  N* out;
  __device__ void operator()(index_t k) const { out[k] = values[k]; }
};

struct advance_piece {
  std::uint64_t* counter;
  __device__ void operator()(index_t) const { ++*counter; }
};

}  // namespace

void count_failed(const stream_context& at, index_t count, const double* values,
                  const tally& known) {
  for_items(at.stream, count, count_failed_piece{values, known},
            "launching the kernel that counts failed queries");
}

void penalise(const stream_context& at, index_t count, double* values, double penalty,
              const tally& known) {
  for_items(at.stream, count, penalise_piece{values, penalty, known},
            "launching the kernel that answers failed queries");
}

void add_answers(const stream_context& at, index_t rows, index_t each, const double* answers,
                 const tally& known) {
  const auto blocks = static_cast<unsigned>(std::min(rows, index_t{1} << 16));
  const cudaLaunchConfig_t config = configuration(at.stream, {blocks, 1, block_threads});
  check(cudaLaunchKernelEx(&config, add_answers_kernel, rows, each, answers, known),
        "launching the kernel that adds answers");
}

template <class T>
void find_weights(const stream_context& at, index_t rows, index_t count, int sides,
                  const double* answers, const double* base, const double* factors,
                  const slope_scale& scale, double step, T* weights, const tally& known) {
  for_items(
      at.stream, rows * count,
      weight_piece<T>{rows, count, sides, answers, base, factors, scale, step, weights, known},
      "launching the kernel of weights");
}

template <class T>
void find_faults(const stream_context& at, index_t rows, index_t dimension,
                 const zo::detail::step_check<T>& check, const T* x, const tally& known) {
  for_rows(at.stream, rows, dimension, fault_piece<T>{dimension, check, x, known},
           "launching the kernel that looks at steps");
}

template <class T>
void find_infinite(const stream_context& at, index_t count, const T* values,
                   unsigned long long* found) {
  for_items(at.stream, count, infinite_piece<T>{values, found},
            "launching the kernel that looks for infinite numbers");
}

template <class T>
void check_gradients(const stream_context& at, const ending& how, const tally& known,
                     index_t dimension, const T* gradients) {
  for_rows(at.stream, how.rows, dimension, gradient_piece<T>{how, known, dimension, gradients},
           "launching the kernel that looks at gradients");
}

void close(const stream_context& at, const ending& how, const tally& known, const double* base,
           report* out, double* losses) {
  const cudaLaunchConfig_t config = configuration(at.stream, {1, 1, block_threads});
  check(cudaLaunchKernelEx(&config, close_kernel, how, known, base, out, losses),
        "launching the kernel that ends an estimate");
}

template <class T>
void mend(const stream_context& at, const ending& how, const tally& known, const report* from,
          index_t dimension, T* gradients) {
  launch_shape shape = shape_for(dimension, how.rows);
  shape.blocks = std::min(shape.blocks, 1024U);
  const cudaLaunchConfig_t config = configuration(at.stream, shape);
  check(cudaLaunchKernelEx(&config, mend_kernel<T>, how, known, from, dimension, gradients),
        "launching the kernel that mends gradients");
}

template <class T>
void zero_if_failed(const stream_context& at, const report* from, index_t count, T* gradient) {
  for_items(at.stream, count, zero_piece<T>{from, gradient},
            "launching the kernel that zeroes failed estimates");
}

void write_rows(const stream_context& at, index_t first, index_t count, index_t rows,
                index_t* out) {
  for_items(at.stream, count, row_piece{first, rows, out}, "launching the kernel of row numbers");
}

template <class N>
void upload(const stream_context& at, const N* host, index_t count, N* out) {
  for (index_t first = 0; first < count; first += carried<N>) {
    upload_piece<N> piece{};
    piece.out = out + first;
    const index_t here = std::min(carried<N>, count - first);
    std::copy_n(host + first, here, piece.values);
    for_items(at.stream, here, piece, "launching the kernel that uploads numbers");
  }
}

template void upload(const stream_context&, const index_t*, index_t, index_t*);

#define ZO_INSTANTIATE(T)                                                                        \
  template void upload(const stream_context&, const T*, index_t, T*);                            \
  template void find_weights(const stream_context&, index_t, index_t, int, const double*,        \
                             const double*, const double*, const slope_scale&, double, T*,       \
                             const tally&);                                                      \
  template void find_faults(const stream_context&, index_t, index_t,                             \
                            const zo::detail::step_check<T>&, const T*, const tally&);           \
  template void zero_if_failed(const stream_context&, const report*, index_t, T*);               \
  template void find_infinite(const stream_context&, index_t, const T*, unsigned long long*);    \
  template void check_gradients(const stream_context&, const ending&, const tally&, index_t,     \
                                const T*);                                                       \
  template void mend(const stream_context&, const ending&, const tally&, const report*, index_t, \
                     T*);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail

namespace zo::cuda {

void advance(const policy& on, std::uint64_t* counter) {
  detail::check_device(on, "zo::cuda::advance");
  detail::check_device_pointer(on, "zo::cuda::advance", "counter", counter);
  detail::for_items(on.stream(), 1, detail::advance_piece{counter},
                    "launching the kernel that advances a step counter");
}

}  // namespace zo::cuda
