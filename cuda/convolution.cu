// Convolutions and linear maps of values and differences: exact ones by fused multiply-adds in the
// order of taps, then input channels; those in bfloat16 on tensor cores.
#include "cuda/network_kernels.hpp"
#include "cuda/tensor_core.hpp"
#include "cuda/words.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/mean.hpp"

namespace zo::cuda::detail {

namespace {

constexpr const char* launch = "launching a convolution";

// Where the window of an output row lies in its image.
struct row_window {
  index_t image;  // first row of it
  int top, left;
  __device__ row_window(const window& w, index_t sample, int position)
      : image(sample * w.in_area()),
        top(position / w.out_width * w.stride - w.padding),
        left(position % w.out_width * w.stride - w.padding) {}
  // Of one probe: 32 bits are enough, and their divisions are cheaper.
  __device__ row_window(const window& w, int row)
      : row_window(w, row / w.out_area(), row % w.out_area()) {}

  __device__ bool inside(const window& w, int dy, int dx) const {
    const int y = top + dy, x = left + dx;
    return y >= 0 && y < w.in_height && x >= 0 && x < w.in_width;
  }
  __device__ index_t in_row(const window& w, int dy, int dx) const {
    return image + (top + dy) * w.in_width + left + dx;
  }
};

// A few rows of neighbouring output channels, so that each number is read once for several
// products; Ins input channels are read together. Rows of all probes. A sum has the same order
// whatever Outs and Ins are.
template <class T, int Outs, int Ins>
struct full_piece {
  static constexpr int rows_of_a_thread = 4;

  window w;
  index_t rows;
  change<T> d;
  const T *weights, *bias;
  sink<T> out;

  __device__ void operator()(index_t item) const {
    const int blocks = w.out_channels / Outs;
    const index_t group = item / blocks, first = group * rows_of_a_thread;
    const int o = static_cast<int>(item - group * blocks) * Outs;
    const row_window windows[rows_of_a_thread] = {window_of(first), window_of(first + 1),
                                                  window_of(first + 2), window_of(first + 3)};
    several<T, Outs> sums[rows_of_a_thread] = {};
    if (bias != nullptr) {
      for (auto& sum : sums) {
        for (int n = 0; n < Outs; ++n) sum.value[n] = bias[o + n];
      }
    }
    const T* weight = weights + o;
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        index_t from[rows_of_a_thread];  // negative: padding
        for (int r = 0; r < rows_of_a_thread; ++r) {
          const bool there = first + r < rows && windows[r].inside(w, dy, dx);
          from[r] = there ? windows[r].in_row(w, dy, dx) * w.in_channels : -1;
        }
        for (int i = 0; i < w.in_channels; i += Ins) add_products(i, from, weight, sums);
      }
    }
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (first + r < rows) put_several(out, (first + r) * w.out_channels + o, sums[r]);
    }
  }
  __device__ void add_products(int i, const index_t (&from)[rows_of_a_thread], const T*& weight,
                               several<T, Outs> (&sums)[rows_of_a_thread]) const {
    several<T, Ins> in[rows_of_a_thread];
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (from[r] >= 0) in[r] = load_several<Ins>(d, from[r] + i);
    }
    for (int k = 0; k < Ins; ++k, weight += w.out_channels) {
      const auto factors = load_several<Outs>(weight);
      for (int r = 0; r < rows_of_a_thread; ++r) {
        if (from[r] < 0) continue;
        for (int n = 0; n < Outs; ++n) {
          T& sum = sums[r].value[n];
          sum = std::fma(factors.value[n], in[r].value[k], sum);
        }
      }
    }
  }
  __device__ row_window window_of(index_t row) const {
    const index_t sample = row / w.out_area();
    return {w, sample, static_cast<int>(row - sample * w.out_area())};
  }
};

// One input channel of each probe: neighbouring output channels of a few rows, for which a weight
// is read once.
template <class T, int Outs>
struct channel_piece {
  static constexpr int rows_of_a_thread = 4;

  window w;
  change<T> d;
  int rows;  // of a probe's outputs
  const T* weights;
  sink<T> out;

  ZO_HD int blocks() const { return (rows + rows_of_a_thread - 1) / rows_of_a_thread; }

  __device__ void operator()(index_t probe, index_t item) const {
    const int groups = w.out_channels / Outs;
    const int row = static_cast<int>(item) / groups, o = static_cast<int>(item) % groups * Outs;
    const int step = blocks();  // to the next row of this thread
    const row_window windows[rows_of_a_thread] = {
        {w, row}, {w, row + step}, {w, row + 2 * step}, {w, row + 3 * step}};
    const T* const from = d.exact + probe * d.rows;
    const T* weight = weights + static_cast<index_t>(d.channel(probe)) * w.out_channels + o;
    several<T, Outs> sums[rows_of_a_thread] = {};
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        const auto factors = load_several<Outs>(weight);
        weight += static_cast<index_t>(w.in_channels) * w.out_channels;
        for (int r = 0; r < rows_of_a_thread; ++r) {
          if (row + r * step >= rows || !windows[r].inside(w, dy, dx)) continue;
          const T by = from[windows[r].in_row(w, dy, dx)];
          for (int n = 0; n < Outs; ++n) {
            sums[r].value[n] = std::fma(factors.value[n], by, sums[r].value[n]);
          }
        }
      }
    }
    const index_t first = (probe * rows + row) * w.out_channels + o;
    for (int r = 0; r < rows_of_a_thread; ++r) {
      const index_t beyond = static_cast<index_t>(r) * step;
      if (row + beyond < rows) put_several(out, first + beyond * w.out_channels, sums[r]);
    }
  }
};

// ---- tensor cores ----

// Input channels are taken 16 x Steps at a time. A lane loads 4 x Steps neighbouring ones; the
// order of products within these is the same for weights, so that it does not matter.
constexpr int steps_of(const window& w) { return w.in_channels % 32 == 0 ? 2 : 1; }

// Weights in the order [tap][chunk of input channels][8 output channels][lane][step][word][half].
struct round_piece {
  window w;
  int steps;
  const float* weights;
  bfloat16* out;

  __device__ void operator()(index_t item) const {
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
    out[item] = bfloat16(weights[(static_cast<index_t>(o) * w.in_channels + i) * w.taps() + tap]);
  }
};

constexpr int warp = 32, tensor_threads = 128;

// A warp makes 16 x Tiles rows of 8 x Blocks output channels, all of one probe, because sums are.
template <int Tiles, int Blocks, int Steps>
__global__ void __launch_bounds__(tensor_threads, Tiles == 4 && Blocks == 4 ? 2 : 3)
    convolve_tiles(window w, index_t probes, int rows, const bfloat16* d, const bfloat16* weights,
                   sink<float> out, sums_after after) {
  constexpr int rows_of_a_warp = 16 * Tiles;
  const int tiles = (rows + rows_of_a_warp - 1) / rows_of_a_warp;
  const index_t number =
      static_cast<index_t>(blockIdx.x) * (tensor_threads / warp) + threadIdx.x / warp;
  if (number >= probes * tiles) return;  // the whole warp
  const index_t probe = number / tiles;
  const int first = static_cast<int>(number - probe * tiles) * rows_of_a_warp;
  const int lane = static_cast<int>(threadIdx.x) % warp, row_of_lane = lane / 4;
  const int first_block = static_cast<int>(blockIdx.y) * Blocks;
  const int in_size = rows / w.out_area() * w.in_area() * w.in_channels;
  const bfloat16* const in = d + probe * in_size + lane % 4 * 4 * Steps;

  // Of the rows that this lane loads: where their images and windows begin.
  int image[2 * Tiles], top[2 * Tiles], left[2 * Tiles];
#pragma unroll
  for (int r = 0; r < 2 * Tiles; ++r) {
    const int row = first + r * 8 + row_of_lane;
    const row_window at(w, row);
    image[r] = static_cast<int>(at.image);
    top[r] = row < rows ? at.top : -w.height;  // outside of the image
    left[r] = at.left;
  }

  float sums[Tiles][Blocks][4];
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int b = 0; b < Blocks; ++b) {
      for (float& s : sums[t][b]) s = 0;
    }
  }

  const int chunks = w.in_channels / (16 * Steps), blocks = w.out_channels / 8;
  constexpr int block_numbers = warp * 4 * Steps;  // of weights
  const bfloat16* from = weights + (static_cast<index_t>(first_block) * warp + lane) * 4 * Steps;
  for (int dy = 0; dy < w.height; ++dy) {
    for (int dx = 0; dx < w.width; ++dx) {
      int place[2 * Tiles];  // of the row's channels; negative: padding
#pragma unroll
      for (int r = 0; r < 2 * Tiles; ++r) {
        const int y = top[r] + dy, x = left[r] + dx;
        const bool inside = y >= 0 && y < w.in_height && x >= 0 && x < w.in_width;
        place[r] = inside ? (image[r] + y * w.in_width + x) * w.in_channels : -1;
      }
#pragma unroll 1
      for (int chunk = 0; chunk < chunks;
           ++chunk, from += static_cast<index_t>(blocks) * block_numbers) {
        words<2 * Steps> a[2 * Tiles];
#pragma unroll
        for (int r = 0; r < 2 * Tiles; ++r) {
          a[r] = {};
          if (place[r] >= 0) {
            a[r] = load_bytes<8 * Steps>(in + place[r] + chunk * 16 * Steps);
          }
        }
#pragma unroll
        for (int b = 0; b < Blocks; ++b) {
          const auto weight = load_bytes<8 * Steps>(from + b * block_numbers);
#pragma unroll
          for (int s = 0; s < Steps; ++s) {
            const std::uint32_t right[2] = {weight.word[2 * s], weight.word[2 * s + 1]};
#pragma unroll
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

  const int first_channel = first_block * 8 + lane % 4 * 2;  // and the one after it
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + (2 * t + half) * 8 + row_of_lane;
      if (row >= rows) continue;
      const index_t to = (probe * rows + row) * w.out_channels + first_channel;
#pragma unroll
      for (int b = 0; b < Blocks; ++b) {
        const float left_one = sums[t][b][2 * half], right_one = sums[t][b][2 * half + 1];
        if (out.rounded != nullptr) {
          store_bytes(words<1>{{pair_of(left_one, right_one)}}, out.rounded + to + b * 8);
        } else {
          out.exact[to + b * 8] = left_one;
          out.exact[to + b * 8 + 1] = right_one;
        }
      }
    }
  }
  if (after.partial == nullptr) return;

  // Of this tile and each channel: over the rows of a lane, then over lanes by a fixed tree.
  float* const partial = after.partial + (probe * 2 * w.out_channels + first_channel) * tiles +
                         (number - probe * tiles);
#pragma unroll
  for (int b = 0; b < Blocks; ++b) {
    __syncwarp();  // otherwise values of all blocks are loaded first, and registers spill
    const int channel = first_channel + b * 8;
    const float centres[2] = {after.centre[channel], after.centre[channel + 1]};
    float sum[2] = {}, squares[2] = {};
#pragma unroll
    for (int r = 0; r < 2 * Tiles; ++r) {
      const int row = first + r * 8 + row_of_lane;
      if (row >= rows) continue;
      const auto x =
          load_several<2>(after.x + static_cast<index_t>(row) * w.out_channels + channel);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const float by = sums[r / 2][b][r % 2 * 2 + n];
        sum[n] += by;
        squares[n] += nn::detail::square_difference(x.value[n] - centres[n], by);
      }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int apart = 4; apart < warp; apart *= 2) {
        sum[n] += __shfl_xor_sync(0xffffffffU, sum[n], apart);
        squares[n] += __shfl_xor_sync(0xffffffffU, squares[n], apart);
      }
      if (row_of_lane == 0) {
        partial[static_cast<index_t>(b * 8 + n) * tiles] = sum[n];
        partial[static_cast<index_t>(w.out_channels + b * 8 + n) * tiles] = squares[n];
      }
    }
  }
}

template <int Tiles, int Blocks, int Steps>
void launch_tiles(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                  const bfloat16* d, const bfloat16* weights, const sink<float>& out,
                  const sums_after& sums) {
  const index_t rows = samples * w.out_area();
  const index_t warps = probes * ((rows + 16 * Tiles - 1) / (16 * Tiles));
  constexpr index_t warps_of_a_block = tensor_threads / warp;
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.blockDim = dim3(tensor_threads, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((warps + warps_of_a_block - 1) / warps_of_a_block),
                        static_cast<unsigned>(w.out_channels / (8 * Blocks)), 1);
  check(cudaLaunchKernelEx(&config, convolve_tiles<Tiles, Blocks, Steps>, w, probes,
                           static_cast<int>(rows), d, weights, out, sums),
        launch);
}

template <int Steps>
void launch_steps(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                  const bfloat16* d, const bfloat16* weights, const sink<float>& out,
                  const sums_after& sums) {
  switch (tensor_blocks(w)) {
    case 8:
      return launch_tiles<2, 8, Steps>(stream, probes, samples, w, d, weights, out, sums);
    case 4:
      return launch_tiles<4, 4, Steps>(stream, probes, samples, w, d, weights, out, sums);
    case 2:
      return launch_tiles<4, 2, Steps>(stream, probes, samples, w, d, weights, out, sums);
    default:
      return launch_tiles<4, 1, Steps>(stream, probes, samples, w, d, weights, out, sums);
  }
}

}  // namespace

template <class T>
void convolve(cudaStream_t stream, index_t probes, index_t samples, const window& w,
              const change<T>& d, const T* weights, const T* bias, const sink<T>& out) {
  const index_t rows = samples * w.out_area();
  using one = std::integral_constant<int, 1>;
  using four = std::integral_constant<int, 4>;
  const auto one_channel = [&](auto outs) {
    constexpr int wide = decltype(outs)::value;
    const channel_piece<T, wide> piece{w, d, static_cast<int>(rows), weights, out};
    for_rows(stream, probes, index_t{piece.blocks()} * (w.out_channels / wide), piece, launch);
  };
  const auto all_channels = [&](auto outs, auto ins) {
    constexpr int wide = decltype(outs)::value;
    using piece = full_piece<T, wide, decltype(ins)::value>;
    constexpr index_t together = piece::rows_of_a_thread;
    for_items(stream, (probes * rows + together - 1) / together * (w.out_channels / wide),
              piece{w, probes * rows, d, weights, bias, out}, launch);
  };
  const bool wide_outs = w.out_channels % 4 == 0, wide_ins = w.in_channels % 4 == 0;
  if (d.how == extent::channel) return wide_outs ? one_channel(four()) : one_channel(one());
  if (wide_outs) return wide_ins ? all_channels(four(), four()) : all_channels(four(), one());
  wide_ins ? all_channels(one(), four()) : all_channels(one(), one());
}

template void convolve(cudaStream_t, index_t, index_t, const window&, const change<float>&,
                       const float*, const float*, const sink<float>&);
template void convolve(cudaStream_t, index_t, index_t, const window&, const change<double>&,
                       const double*, const double*, const sink<double>&);

void round_weights(cudaStream_t stream, const window& w, const float* weights, bfloat16* out) {
  for_items(stream, static_cast<index_t>(w.taps()) * w.in_channels * w.out_channels,
            round_piece{w, steps_of(w), weights, out}, launch);
}

void convolve_rounded(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const bfloat16* d, const bfloat16* weights, const sink<float>& out,
                      const sums_after& sums) {
  if (steps_of(w) == 2) return launch_steps<2>(stream, probes, samples, w, d, weights, out, sums);
  launch_steps<1>(stream, probes, samples, w, d, weights, out, sums);
}

}  // namespace zo::cuda::detail
