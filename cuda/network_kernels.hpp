// The launches that the networks of zo/cuda/network.hpp are made of. Values lie by sample, position
// and channel; differences the same for each probe: [probe][sample][position][channel].
#pragma once

#include <cstdint>
#include <type_traits>

#include "zo/bfloat16.hpp"
#include "zo/config.hpp"
#include "zo/nn/layer/batch_norm.hpp"

#include <cuda_runtime_api.h>

namespace zo::cuda::detail {

using nn::detail::norm_response;

// Windows that slide over an image: of a convolution, a pool, or a linear map, whose one window is
// the whole image.
struct window {
  int in_height, in_width, in_channels;
  int out_height, out_width, out_channels;
  int height, width;  // of the window
  int stride, padding;

  ZO_HD int in_area() const { return in_height * in_width; }
  ZO_HD int out_area() const { return out_height * out_width; }
  ZO_HD int taps() const { return height * width; }
};

// What a parameter tensor means for the outputs of its layer.
enum class tensor_role : std::uint8_t { weight, bias, gamma, beta };

struct tensor_of {
  tensor_role role;
  index_t offset;   // of its first coordinate
  int per_channel;  // elements that one output channel depends on
};

// Probes of one call that go together: number k of them is number order[k] of the call.
template <class T>
struct probe_group {
  const index_t* order;
  const index_t* coordinates;
  const T* steps;
  index_t count;
};

// Differences of one value: none, one channel for each probe ([probe][row]), or all of them. Those
// of all channels may be kept in bfloat16.
enum class extent : std::uint8_t { none, channel, full };

template <class T>
struct change {
  extent how = extent::none;
  const T* exact = nullptr;
  const bfloat16* rounded = nullptr;
  const int* channels = nullptr;  // of probes, where the difference began
  int shift = 0;                  // from there to here
  int all_channels = 0;
  index_t rows = 0;  // samples x positions

  ZO_HD int channel(index_t probe) const { return channels[probe] + shift; }
  ZO_HD T number(index_t i) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded != nullptr) return static_cast<float>(rounded[i]);
    }
    return exact[i];
  }
  ZO_HD T at(index_t probe, index_t row, int c) const {
    if (how == extent::full) return number((probe * rows + row) * all_channels + c);
    if (how == extent::none || c != channel(probe)) return T(0);
    return exact[probe * rows + row];
  }
};

// Where a difference is written; one of both.
template <class T>
struct sink {
  T* exact = nullptr;
  bfloat16* rounded = nullptr;

  ZO_HD void put(index_t at, T value) const {
    if constexpr (std::is_same_v<T, float>) {
      if (rounded != nullptr) {
        rounded[at] = bfloat16(value);
        return;
      }
    }
    exact[at] = value;
  }
};

// What is known of a batch norm, by channel. The centre is the mean rounded to T, `rest` what that
// left of it.
template <class T>
struct norm_base {
  double *mean, *variance, *root, *rest;
  T* centre;
  T* kept;  // responses where statistics do not follow
};

// How batch norms answer differences, by planes of scales, slopes, shifts and rests: that of probe
// k in channel c lies at k probe_step + c channel_step, the others planes of `plane` numbers on.
template <class T>
struct norm_responses {
  const T* numbers = nullptr;
  index_t probe_step = 0;  // 0: the same of every probe
  int plane = 0, channel_step = 1;

  ZO_HD norm_response<T> at(index_t probe, int channel) const {
    const T* const from = numbers + probe * probe_step + channel * channel_step;
    return {from[0], from[plane], from[2 * plane], from[3 * plane]};
  }
};
inline constexpr int response_planes = 4, shift_plane = 2;

// ---- values ----

template <class T>
void to_channels_last(cudaStream_t stream, index_t samples, int channels, int area, const T* rows,
                      T* out);
// Weights [out][in][tap] as [tap][in][out].
template <class T>
void arrange_weights(cudaStream_t stream, const window& w, const T* weights, T* out);
template <class T>
void norm_values(cudaStream_t stream, index_t rows, int channels, const norm_base<T>& norm,
                 const T* gamma, const T* beta, const T* x, T* out);
template <class T>
void relu_values(cudaStream_t stream, index_t numbers, const T* x, T* out);
template <class T>
void add_values(cudaStream_t stream, index_t numbers, const T* a, const T* b, T* out);
template <class T>
void max_pool_values(cudaStream_t stream, index_t samples, const window& w, const T* x, T* out);

// ---- sums of batch norms ----

// Rows that are added up first; tiles are then added in the order of a fixed tree.
inline constexpr index_t tile_rows = 64;
ZO_HD constexpr index_t tiles_of(index_t rows, index_t of_rows = tile_rows) {
  return (rows + of_rows - 1) / of_rows;
}

// partial[probe][2][channel][tile]: sums of c and c^2 for c = x - centre; or, of differences d, of
// q = d - pivot and q (2 c + q), where responses has pivots near the mean of d for shifts.
template <class T>
void value_sums(cudaStream_t stream, index_t rows, int channels, const T* x, const T* centre,
                T* partial);
template <class T>
void find_pivots(cudaStream_t stream, index_t probes, const change<T>& d, T* responses);
template <class T>
void change_sums(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                 const T* centre, const T* responses, T* partial);
// The mean from sums around zero; then mean and root from sums around the centre.
template <class T>
void find_mean(cudaStream_t stream, index_t rows, int channels, const T* partial,
               const norm_base<T>& norm);
template <class T>
void find_root(cudaStream_t stream, index_t rows, int channels, const T* x, const T* partial,
               double epsilon, const norm_base<T>& norm);
template <class T>
void use_running(cudaStream_t stream, int channels, const T* mean, const T* variance,
                 double epsilon, const norm_base<T>& norm);
// norm.kept: differences of a batch norm whose statistics stay.
template <class T>
void keep_responses(cudaStream_t stream, int channels, const T* gamma, const norm_base<T>& norm);
// responses[probe][plane][channel], of all channels or of the probe's. `pivoted`: sums are around
// the pivots there.
template <class T>
void find_responses(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                    const T* partial, index_t tiles, bool pivoted, const T* gamma, double epsilon,
                    const norm_base<T>& norm, T* responses);
template <class T>
void move_statistics(cudaStream_t stream, index_t rows, int channels, double momentum,
                     const norm_base<T>& norm, T* mean, T* variance);

// ---- differences ----

// The channel that each probe moves, and the difference of that channel of its layer's output.
// `x` is the input of the layer; `norm` of a batch norm.
template <class T>
void begin_changes(cudaStream_t stream, const probe_group<T>& group, const tensor_of& tensor,
                   const window& w, index_t samples, const T* x, const norm_base<T>& norm,
                   int* channels, T* out);

// Batch norm, sum and ReLU, each if it is there: out = relu'(normed(main) + other).
template <class T>
struct chain {
  change<T> main, other;
  bool normed = false;
  norm_responses<T> responses;
  const T* x = nullptr;       // of the norm
  const T* centre = nullptr;  // of the norm
  const T* before = nullptr;  // values before the ReLU; null: there is none
  sink<T> out;
  extent how = extent::full;  // of the result
};
template <class T>
void follow_chain(cudaStream_t stream, index_t probes, const chain<T>& c);

template <class T>
void max_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const change<T>& d, const T* x, const T* value, const sink<T>& out);
// Also of values: then there is one probe.
template <class T>
void mean_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out);
template <class T>
void subsample_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out);

// ---- convolutions and linear maps (convolution.cu) ----

// d times weights [tap][in][out], plus the bias if there is one. Full differences, or values as one
// probe; or one channel of each probe.
template <class T>
void convolve(cudaStream_t stream, index_t probes, index_t samples, const window& w,
              const change<T>& d, const T* weights, const T* bias, const sink<T>& out);

// The same of full differences on tensor cores, for layers that has_tensor_form says.
constexpr bool has_tensor_form(const window& w) {
  return w.in_channels % 16 == 0 && w.out_channels % 8 == 0;
}
// Output channels, and rows of one probe, that a warp makes.
constexpr int tensor_blocks(const window& w) {
  const int blocks = w.out_channels / 8;
  return blocks % 8 == 0 ? 8 : blocks % 4 == 0 ? 4 : blocks % 2 == 0 ? 2 : 1;
}
constexpr index_t tensor_rows(const window& w) { return tensor_blocks(w) == 8 ? 32 : 64; }

// Numbers in the order in which lanes need them, as many as the weights.
void round_weights(cudaStream_t stream, const window& w, const float* weights, bfloat16* out);

// What a batch norm that follows needs of the outputs, by tiles of tensor_rows; null: nothing.
struct sums_after {
  const float* x = nullptr;  // the outputs themselves
  const float* centre = nullptr;
  float* partial = nullptr;
};
void convolve_rounded(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const bfloat16* d, const bfloat16* weights, const sink<float>& out,
                      const sums_after& sums);

// ---- losses ----

// Classes of cross entropy, or numbers of the squared error; the other one is null.
struct loss_targets {
  const index_t* classes;
  const double* numbers;
};

// parts[b] and what differences need, samples x outputs: residuals, or probabilities and then their
// logarithms.
template <class T>
void begin_loss(cudaStream_t stream, index_t samples, int channels, int area,
                const loss_targets& targets, const T* outputs, double* kept, double* parts);
template <class T>
void loss_changes(cudaStream_t stream, index_t probes, index_t samples, int area,
                  const loss_targets& targets, const change<T>& outputs, const double* kept,
                  double* parts);
// out[order[k]], or out[k], = sum of parts[k][b] by ascending b, over `samples`.
void mean_parts(cudaStream_t stream, index_t count, index_t samples, const double* parts,
                const index_t* order, double* out);

}  // namespace zo::cuda::detail
