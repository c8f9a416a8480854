// Convolutions and linear maps of full differences in bfloat16, on tensor cores.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "cuda/nn/tensor_core.hpp"
#include "cuda/nn/words.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/mean.hpp"

namespace zo::cuda::detail {

namespace {

constexpr const char* launch = "launching a convolution";

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
