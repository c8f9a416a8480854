// Convolutions and linear maps of values and differences: exact ones by fused multiply-adds in the
// order of taps, then input channels; those in bfloat16 on tensor cores.
#include "cuda/launch.hpp"
#include "cuda/network_kernels.hpp"
#include "cuda/tensor_core.hpp"

namespace zo::cuda::detail {

namespace {

using zo::index;

constexpr const char* launch = "launching a convolution";

// Where the window of an output row lies in its image.
struct row_window {
  index image;  // first row of it
  int top, left;
  __device__ row_window(const window& w, index row) {
    const index sample = row / w.out_area();
    const auto position = static_cast<int>(row - sample * w.out_area());
    const int line = position / w.out_width;
    image = sample * w.in_area();
    top = line * w.stride - w.padding;
    left = (position - line * w.out_width) * w.stride - w.padding;
  }
  __device__ bool inside(const window& w, int dy, int dx) const {
    const int y = top + dy, x = left + dx;
    return y >= 0 && y < w.in_height && x >= 0 && x < w.in_width;
  }
  __device__ index in_row(const window& w, int dy, int dx) const {
    return image + (top + dy) * w.in_width + left + dx;
  }
};

// One output channel of a few rows, so that a weight is read once for these. Rows of all probes.
template <class T>
struct full_piece {
  static constexpr int rows_of_a_thread = 4;

  window w;
  index rows;
  const T *in, *weights, *bias;
  T* out;

  __device__ void operator()(index item) const {
    const index group = item / w.out_channels;
    const auto o = static_cast<int>(item - group * w.out_channels);
    const index first = group * rows_of_a_thread;
    T sum[rows_of_a_thread];
    const T start = bias == nullptr ? T(0) : bias[o];
    for (T& s : sum) s = start;
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) add_tap(first, dy, dx, o, sum);
    }
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (first + r < rows) out[(first + r) * w.out_channels + o] = sum[r];
    }
  }
  __device__ void add_tap(index first, int dy, int dx, int o, T (&sum)[rows_of_a_thread]) const {
    const T* from[rows_of_a_thread];
    for (int r = 0; r < rows_of_a_thread; ++r) {
      const row_window at(w, first + r);
      const bool there = first + r < rows && at.inside(w, dy, dx);
      from[r] = there ? in + at.in_row(w, dy, dx) * w.in_channels : nullptr;
    }
    const T* weight =
        weights + static_cast<index>(dy * w.width + dx) * w.in_channels * w.out_channels + o;
    for (int i = 0; i < w.in_channels; ++i, weight += w.out_channels) {
      const T factor = *weight;
      for (int r = 0; r < rows_of_a_thread; ++r) {
        if (from[r] != nullptr) sum[r] = std::fma(factor, from[r][i], sum[r]);
      }
    }
  }
};

// One input channel of each probe.
template <class T>
struct channel_piece {
  window w;
  change<T> d;
  index items;
  const T* weights;
  T* out;

  __device__ void operator()(index probe, index item) const {
    const auto row = static_cast<unsigned>(item) / static_cast<unsigned>(w.out_channels);
    const auto o = static_cast<int>(static_cast<unsigned>(item) - row * w.out_channels);
    const row_window at(w, row);
    const T* const from = d.data + probe * d.rows;
    const T* weight = weights + static_cast<index>(d.channel(probe)) * w.out_channels + o;
    const index step = static_cast<index>(w.in_channels) * w.out_channels;
    T sum = 0;
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx, weight += step) {
        if (at.inside(w, dy, dx)) sum = std::fma(*weight, from[at.in_row(w, dy, dx)], sum);
      }
    }
    out[probe * items + item] = sum;
  }
};

// ---- tensor cores ----

// Words that one lane loads or stores at once.
template <int N>
struct alignas(4 * N) [[gnu::may_alias]] words {
  std::uint32_t word[N];
};
struct alignas(8) [[gnu::may_alias]] two_floats {
  float first, second;
};

// Input channels are taken 16 x Steps at a time. A lane loads 4 x Steps neighbouring ones; the
// order of products within these is the same for weights, so that it does not matter.
constexpr int steps_of(const window& w) { return w.in_channels % 32 == 0 ? 2 : 1; }

// Weights in the order [tap][chunk of input channels][8 output channels][lane][step][word][half].
struct round_piece {
  window w;
  int steps;
  const float* weights;
  bfloat16* out;

  __device__ void operator()(index item) const {
    auto rest = static_cast<int>(item);
    const auto next = [&](int size) {
      const int low = rest % size;
      rest /= size;
      return low;
    };
    const int half = next(2), word = next(2), step = next(steps), lane = next(32);
    const int block = next(w.out_channels / 8), chunk = next(w.in_channels / (16 * steps));
    const int tap = rest;
    const int o = block * 8 + lane / 4;
    const int i = (chunk * 4 + lane % 4) * 4 * steps + step * 4 + word * 2 + half;
    out[item] = bfloat16(weights[(static_cast<index>(o) * w.in_channels + i) * w.taps() + tap]);
  }
};

constexpr int warp = 32, tensor_threads = 128;

// A warp makes 16 x Tiles rows of 8 x Blocks output channels. Rows of one warp are of one probe.
template <int Tiles, int Blocks, int Steps>
__global__ void __launch_bounds__(tensor_threads, 3)
    convolve_tiles(window w, zo::index probes, int rows, const bfloat16* d, const bfloat16* weights,
                   float* out) {
  constexpr int rows_of_a_warp = 16 * Tiles;
  const int tiles = (rows + rows_of_a_warp - 1) / rows_of_a_warp;
  const zo::index number =
      static_cast<zo::index>(blockIdx.x) * (tensor_threads / warp) + threadIdx.x / warp;
  if (number >= probes * tiles) return;  // the whole warp
  const zo::index probe = number / tiles;
  const int first = static_cast<int>(number - probe * tiles) * rows_of_a_warp;
  const int lane = static_cast<int>(threadIdx.x) % warp, row_of_lane = lane / 4;
  const int first_block = static_cast<int>(blockIdx.y) * Blocks;
  const int in_size = rows / w.out_area() * w.in_area() * w.in_channels;
  const bfloat16* const in = d + probe * in_size + lane % 4 * 4 * Steps;

  // Of the rows that this lane loads: where their windows begin.
  int image[2 * Tiles], top[2 * Tiles], left[2 * Tiles];
  for (int r = 0; r < 2 * Tiles; ++r) {
    const int row = first + r * 8 + row_of_lane;
    const row_window at(w, row);
    image[r] = static_cast<int>(at.image);
    top[r] = row < rows ? at.top : -w.height;  // outside of the image
    left[r] = at.left;
  }

  float sums[Tiles][Blocks][4];
  for (int t = 0; t < Tiles; ++t) {
    for (int b = 0; b < Blocks; ++b) {
      for (float& s : sums[t][b]) s = 0;
    }
  }

  const int chunks = w.in_channels / (16 * Steps), blocks = w.out_channels / 8;
  constexpr int block_numbers = warp * 4 * Steps;  // of weights
  const bfloat16* from = weights + (static_cast<zo::index>(first_block) * warp + lane) * 4 * Steps;
  for (int dy = 0; dy < w.height; ++dy) {
    for (int dx = 0; dx < w.width; ++dx) {
      int place[2 * Tiles];  // of the row's channels; negative: padding
      for (int r = 0; r < 2 * Tiles; ++r) {
        const int y = top[r] + dy, x = left[r] + dx;
        const bool inside = y >= 0 && y < w.in_height && x >= 0 && x < w.in_width;
        place[r] = inside ? (image[r] + y * w.in_width + x) * w.in_channels : -1;
      }
      for (int chunk = 0; chunk < chunks;
           ++chunk, from += static_cast<zo::index>(blocks) * block_numbers) {
        words<2 * Steps> a[2 * Tiles];
        for (int r = 0; r < 2 * Tiles; ++r) {
          a[r] = {};
          if (place[r] >= 0) {
            a[r] = *reinterpret_cast<const words<2 * Steps>*>(in + place[r] + chunk * 16 * Steps);
          }
        }
        for (int b = 0; b < Blocks; ++b) {
          const auto weight = *reinterpret_cast<const words<2 * Steps>*>(from + b * block_numbers);
          for (int s = 0; s < Steps; ++s) {
            const std::uint32_t right[2] = {weight.word[2 * s], weight.word[2 * s + 1]};
            for (int t = 0; t < Tiles; ++t) {
              const std::uint32_t both[4] = {a[2 * t].word[2 * s], a[2 * t + 1].word[2 * s],
                                             a[2 * t].word[2 * s + 1],
                                             a[2 * t + 1].word[2 * s + 1]};
              multiply_add(sums[t][b], both, right);
            }
          }
        }
      }
    }
  }

  float* const to = out + probe * rows * w.out_channels + first_block * 8 + lane % 4 * 2;
  for (int t = 0; t < Tiles; ++t) {
    for (int half = 0; half < 2; ++half) {
      const int row = first + (2 * t + half) * 8 + row_of_lane;
      if (row >= rows) continue;
      for (int b = 0; b < Blocks; ++b) {
        *reinterpret_cast<two_floats*>(to + static_cast<zo::index>(row) * w.out_channels +
                                       b * 8) = {sums[t][b][2 * half], sums[t][b][2 * half + 1]};
      }
    }
  }
}

template <int Tiles, int Blocks, int Steps>
void launch_tiles(cudaStream_t stream, index probes, index samples, const window& w,
                  const bfloat16* d, const bfloat16* weights, float* out) {
  const index rows = samples * w.out_area();
  const index warps = probes * ((rows + 16 * Tiles - 1) / (16 * Tiles));
  constexpr index warps_of_a_block = tensor_threads / warp;
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.blockDim = dim3(tensor_threads, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((warps + warps_of_a_block - 1) / warps_of_a_block),
                        static_cast<unsigned>(w.out_channels / (8 * Blocks)), 1);
  check(cudaLaunchKernelEx(&config, convolve_tiles<Tiles, Blocks, Steps>, w, probes,
                           static_cast<int>(rows), d, weights, out),
        launch);
}

template <int Steps>
void launch_steps(cudaStream_t stream, index probes, index samples, const window& w,
                  const bfloat16* d, const bfloat16* weights, float* out) {
  const int blocks = w.out_channels / 8;
  const auto launch_with = [&](auto tiles, auto wide) {
    launch_tiles<decltype(tiles)::value, decltype(wide)::value, Steps>(stream, probes, samples, w,
                                                                       d, weights, out);
  };
  using std::integral_constant;
  constexpr integral_constant<int, 2> two;
  constexpr integral_constant<int, 4> four;
  if (blocks % 8 == 0) return launch_with(two, integral_constant<int, 8>());
  if (blocks % 4 == 0) return launch_with(four, four);
  if (blocks % 2 == 0) return launch_with(four, two);
  launch_with(four, integral_constant<int, 1>());
}

}  // namespace

template <class T>
void convolve(cudaStream_t stream, index probes, index samples, const window& w, const change<T>& d,
              const T* weights, const T* bias, T* out) {
  const index rows = samples * w.out_area();
  if (d.how == extent::channel) {
    for_rows(stream, probes, rows * w.out_channels,
             channel_piece<T>{w, d, rows * w.out_channels, weights, out}, launch);
    return;
  }
  constexpr index together = full_piece<T>::rows_of_a_thread;
  for_items(stream, (probes * rows + together - 1) / together * w.out_channels,
            full_piece<T>{w, probes * rows, d.data, weights, bias, out}, launch);
}

template void convolve(cudaStream_t, index, index, const window&, const change<float>&,
                       const float*, const float*, float*);
template void convolve(cudaStream_t, index, index, const window&, const change<double>&,
                       const double*, const double*, double*);

void round_weights(cudaStream_t stream, const window& w, const float* weights, bfloat16* out) {
  for_items(stream, static_cast<index>(w.taps()) * w.in_channels * w.out_channels,
            round_piece{w, steps_of(w), weights, out}, launch);
}

void convolve_rounded(cudaStream_t stream, index probes, index samples, const window& w,
                      const bfloat16* d, const bfloat16* weights, float* out) {
  if (steps_of(w) == 2) return launch_steps<2>(stream, probes, samples, w, d, weights, out);
  launch_steps<1>(stream, probes, samples, w, d, weights, out);
}

}  // namespace zo::cuda::detail
