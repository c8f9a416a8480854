// What all estimators share: the tally of answers, the end of an estimate, numbers from the host.
#include "cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/rge.hpp"

namespace zo::cuda::detail {

namespace {

struct count_failed_piece {
  const double* values;
  tally known;

  __device__ void operator()(zo::index k) const {
    if (!__builtin_isfinite(values[k])) atomicAdd(known.failed, 1ULL);
  }
};

// A block a row: its answers are added one after another, as on the CPU, by one thread; the others
// bring them, so that it never waits for memory.
__global__ void __launch_bounds__(block_threads)
    add_answers_kernel(zo::index rows, zo::index each, const double* answers, tally known) {
  __shared__ double staged[block_threads];
  for (zo::index row = blockIdx.x; row < rows; row += gridDim.x) {
    double sum = known.sums[row], count = known.counts[row];
    for (zo::index first = 0; first < each; first += block_threads) {
      const zo::index j = first + threadIdx.x;
      if (j < each) staged[threadIdx.x] = answers[j * rows + row];
      __syncthreads();
      if (threadIdx.x == 0) {
        const zo::index left = each - first;
        const int here = left < block_threads ? static_cast<int>(left) : block_threads;
        for (int k = 0; k < here; ++k) {
          if (!__builtin_isfinite(staged[k])) continue;
          sum += staged[k];
          count += 1;
        }
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      known.sums[row] = sum;
      known.counts[row] = count;
    }
  }
}

template <class T>
struct weight_piece {
  zo::index rows, count;
  int sides;
  const double* answers;
  const double* base;
  const double* factors;
  double scale, step;
  T* weights;
  tally known;

  __device__ void operator()(zo::index item) const {
    const zo::index k = item / rows, row = item % rows;
    const double* const mine = answers + k * sides * rows;
    for (int side = 0; side < sides; ++side) {
      if (!__builtin_isfinite(mine[side * rows + row])) atomicAdd(known.failed, 1ULL);
    }
    const double factor = factors == nullptr ? 1.0 : factors[item];
    const double slope = sides == 1 ? zo::detail::slope<forward>(mine, rows, row, base[row], step)
                                    : zo::detail::slope<central>(mine, rows, row, 0, step);
    bool good = false;
    weights[row * count + k] = zo::detail::weight_of<T>(scale, slope, factor, good);
    if (good) atomicAdd(known.survivors + row, 1ULL);
  }
};

// One block. Rows are looked through twice: for what all of them say together, then for their
// losses.
__global__ void __launch_bounds__(block_threads, 1)
    close_kernel(ending how, tally known, const double* base, report* out, double* losses) {
  // A failed query leaves no slope, so that the slopes tell whether any failed.
  int some_base = 0, some_enough = 0, some_short = 0;
  const auto needed = static_cast<unsigned long long>(how.drop ? 1 : how.asked);
  for (zo::index row = threadIdx.x; row < how.rows; row += block_threads) {
    some_base |= how.uses_base && __builtin_isfinite(base[row]) ? 1 : 0;
    const bool enough = known.survivors[row] >= needed;
    some_enough |= enough ? 1 : 0;
    some_short |= enough ? 0 : 1;
  }
  some_base = __syncthreads_or(some_base);
  some_enough = __syncthreads_or(some_enough);
  some_short = __syncthreads_or(some_short);
  for (zo::index row = threadIdx.x; row < how.rows; row += block_threads) {
    const double mean = known.sums[row] / known.counts[row];  // none: 0 / 0
    const double answer = how.uses_base ? base[row] : mean;
    const double loss = __builtin_isfinite(answer) ? answer : answer - answer;  // NaN
    if (losses != nullptr) losses[row] = loss;
    if (row == 0) out->value = loss;
  }
  if (threadIdx.x == 0) {
    const bool base_is_there = !how.needs_base || some_base != 0;
    const bool enough = how.drop ? some_enough != 0 : some_short == 0;
    out->failed = *known.failed;
    out->ok = base_is_there && enough ? 1 : 0;
  }
}

// Most estimates need nothing here: each thread looks once a row, and goes.
template <class T>
__global__ void __launch_bounds__(block_threads, 1)
    mend_kernel(ending how, tally known, const report* from, zo::index dimension, T* gradients) {
  const bool ok = from->ok != 0;
  const zo::index stride = static_cast<zo::index>(gridDim.x) * blockDim.x;
  for (zo::index row = blockIdx.y; row < how.rows; row += gridDim.y) {
    const auto good = static_cast<zo::index>(known.survivors[row]);
    if (ok && (!how.rescale || good == how.asked || good == 0)) continue;
    // The mean over the slopes that are left, or zeros.
    const T factor = static_cast<T>(static_cast<double>(how.asked) / static_cast<double>(good));
    T* const g = gradients + row * dimension;
    zo::index i = static_cast<zo::index>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i < dimension; i += stride) g[i] = ok ? g[i] * factor : T(0);
  }
}

struct row_piece {
  zo::index first, rows;
  zo::index* out;
  __device__ void operator()(zo::index k) const { out[k] = (first + k) % rows; }
};

constexpr zo::index carried = 480;  // numbers in the arguments of one launch, of 4 KiB in all

struct upload_piece {
  zo::index values[carried];
  zo::index* out;
  __device__ void operator()(zo::index k) const { out[k] = values[k]; }
};

struct advance_piece {
  std::uint64_t* counter;
  __device__ void operator()(zo::index) const { ++*counter; }
};

}  // namespace

void count_failed(const place& at, zo::index count, const double* values, const tally& known) {
  for_items(at.stream, count, count_failed_piece{values, known},
            "launching the kernel that counts failed queries");
}

void add_answers(const place& at, zo::index rows, zo::index each, const double* answers,
                 const tally& known) {
  const auto blocks = static_cast<unsigned>(std::min(rows, zo::index{1} << 16));
  const cudaLaunchConfig_t config = configuration(at.stream, {blocks, 1, block_threads});
  check(cudaLaunchKernelEx(&config, add_answers_kernel, rows, each, answers, known),
        "launching the kernel that adds answers");
}

template <class T>
void find_weights(const place& at, zo::index rows, zo::index count, int sides,
                  const double* answers, const double* base, const double* factors, double scale,
                  double step, T* weights, const tally& known) {
  for_items(
      at.stream, rows * count,
      weight_piece<T>{rows, count, sides, answers, base, factors, scale, step, weights, known},
      "launching the kernel of weights");
}

void close(const place& at, const ending& how, const tally& known, const double* base, report* out,
           double* losses) {
  const cudaLaunchConfig_t config = configuration(at.stream, {1, 1, block_threads});
  check(cudaLaunchKernelEx(&config, close_kernel, how, known, base, out, losses),
        "launching the kernel that ends an estimate");
}

template <class T>
void mend(const place& at, const ending& how, const tally& known, const report* from,
          zo::index dimension, T* gradients) {
  launch_shape shape = shape_for(dimension, how.rows);
  shape.blocks = std::min(shape.blocks, 1024U);
  const cudaLaunchConfig_t config = configuration(at.stream, shape);
  check(cudaLaunchKernelEx(&config, mend_kernel<T>, how, known, from, dimension, gradients),
        "launching the kernel that mends gradients");
}

void write_rows(const place& at, zo::index first, zo::index count, zo::index rows, zo::index* out) {
  for_items(at.stream, count, row_piece{first, rows, out}, "launching the kernel of row numbers");
}

void upload(const place& at, const zo::index* host, zo::index count, zo::index* out) {
  for (zo::index first = 0; first < count; first += carried) {
    upload_piece piece{};
    piece.out = out + first;
    const zo::index here = std::min(carried, count - first);
    std::copy_n(host + first, here, piece.values);
    for_items(at.stream, here, piece, "launching the kernel that uploads coordinates");
  }
}

template void find_weights(const place&, zo::index, zo::index, int, const double*, const double*,
                           const double*, double, double, float*, const tally&);
template void find_weights(const place&, zo::index, zo::index, int, const double*, const double*,
                           const double*, double, double, double*, const tally&);
template void mend(const place&, const ending&, const tally&, const report*, zo::index, float*);
template void mend(const place&, const ending&, const tally&, const report*, zo::index, double*);

}  // namespace zo::cuda::detail

namespace zo::cuda {

void advance(const policy& on, std::uint64_t* counter) {
  detail::check_device(on, "zo::cuda::advance");
  detail::check_device_pointer(on, "zo::cuda::advance", "counter", counter);
  detail::for_items(on.stream(), 1, detail::advance_piece{counter},
                    "launching the kernel that advances a step counter");
}

}  // namespace zo::cuda
