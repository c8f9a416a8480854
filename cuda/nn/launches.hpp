// The launches that networks are made of, by the file that has them.
#pragma once

#include <cmath>

#include "cuda/nn/change.hpp"

#include <cuda_runtime_api.h>

// Below a launch: it is there for both types.
#define ZO_BOTH_TYPES(launch)                     \
  template decltype(launch<float>) launch<float>; \
  template decltype(launch<double>) launch<double>

namespace zo::cuda::detail {

inline constexpr const char *values_launch = "launching values of a network",
                            *changes_launch = "launching differences of a network";

// ---- layer/input.cu ----

template <class T>
void to_channels_last(cudaStream_t stream, index_t samples, int channels, int area, const T* rows,
                      T* out);

// ---- layer/convolution.cu: linear maps, too ----

// Weights [out][in][tap] as [tap][in][out].
template <class T>
void arrange_weights(cudaStream_t stream, const window& w, const T* weights, T* out);
template <class T>
void begin_weight(cudaStream_t stream, const probe_group<T>& group, const window& w,
                  index_t samples, const T* x);
// d times weights [tap][in][out], plus the bias if there is one. Full differences, or values as one
// probe; or one channel of each probe.
template <class T>
void convolve(cudaStream_t stream, index_t probes, index_t samples, const window& w,
              const change<T>& d, const T* weights, const T* bias, const sink<T>& out);

// ---- layer/convolution_rounded.cu ----

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

// ---- layer/bias.cu ----

template <class T>
void begin_bias(cudaStream_t stream, const probe_group<T>& group, index_t rows);

// ---- layer/batch_norm.cu ----

// partial[probe][2][channel][tile]: sums of c and c^2 for c = x - centre.
template <class T>
void value_sums(cudaStream_t stream, index_t rows, int channels, const T* x, const T* centre,
                T* partial);
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
template <class T>
void norm_values(cudaStream_t stream, index_t rows, int channels, const norm_base<T>& norm,
                 const T* gamma, const T* beta, const T* x, T* out);
template <class T>
void move_statistics(cudaStream_t stream, index_t rows, int channels, double momentum,
                     const norm_base<T>& norm, T* mean, T* variance);
template <class T>
void begin_gamma(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                 const T* x, const norm_base<T>& norm);

// ---- layer/batch_norm_responses.cu ----

// norm.kept: differences of a batch norm whose statistics stay.
template <class T>
void keep_responses(cudaStream_t stream, int channels, const T* gamma, const norm_base<T>& norm);
// Pivots near the mean of the difference d, in the place of shifts; then sums of q = d - pivot and
// of q (2 c + q) in the order of value_sums.
template <class T>
void find_pivots(cudaStream_t stream, index_t probes, const change<T>& d, T* responses);
template <class T>
void change_sums(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                 const T* centre, const T* responses, T* partial);
// responses[probe][plane][channel], of all channels or of the probe's. `pivoted`: sums are around
// the pivots there.
template <class T>
void find_responses(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                    const T* partial, index_t tiles, bool pivoted, const T* gamma, double epsilon,
                    const norm_base<T>& norm, T* responses);

// ---- layer/relu.cu ----

template <class T>
void relu_values(cudaStream_t stream, index_t numbers, const T* x, T* out);

// ---- layer/add.cu ----

template <class T>
void add_values(cudaStream_t stream, index_t numbers, const T* a, const T* b, T* out);

// ---- layer/chain.cu: differences of batch norms, sums and ReLUs ----

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

// ---- layer/max_pool.cu ----

template <class T>
void max_pool_values(cudaStream_t stream, index_t samples, const window& w, const T* x, T* out);
template <class T>
void max_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const change<T>& d, const T* x, const T* value, const sink<T>& out);

// ---- layer/average_pool.cu ----

// Also of values: then there is one probe.
template <class T>
void mean_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out);

// ---- layer/subsample.cu ----

template <class T>
void subsample_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out);

// ---- layer/embedding.cu ----

template <class T>
struct embedding_table {
  index_t entries;
  int channels;
  const T* numbers;
};

template <class T>
void embedding_values(cudaStream_t stream, index_t rows, const embedding_table<T>& table,
                      const T* tokens, T* out);
template <class T>
void begin_embedding(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                     const T* tokens);
template <class T>
void embedding_changes(cudaStream_t stream, index_t probes, const embedding_table<T>& table,
                       const change<T>& d, const T* tokens, const T* value, const sink<T>& out);

// ---- layer/positions.cu ----

template <class T>
void positions_values(cudaStream_t stream, index_t samples, const window& w, const T* table,
                      const T* x, T* out);
template <class T>
void begin_positions(cudaStream_t stream, const probe_group<T>& group, const window& w,
                     index_t samples);
template <class T>
void positions_changes(cudaStream_t stream, index_t probes, const change<T>& d, const sink<T>& out);

// ---- layer/layer_norm.cu ----

// What is known of a layer norm, by row.
struct row_moments {
  double *mean, *root;
};

template <class T>
void layer_norm_values(cudaStream_t stream, index_t rows, int channels, double epsilon,
                       const row_moments& norm, const T* gamma, const T* beta, const T* x, T* out);
template <class T>
void begin_row_gamma(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                     const T* x, const row_moments& norm);
template <class T>
void layer_norm_changes(cudaStream_t stream, index_t probes, const change<T>& d, double epsilon,
                        const row_moments& norm, const T* gamma, const T* x, const sink<T>& out);

// ---- layer/gelu.cu ----

template <class T>
void gelu_values(cudaStream_t stream, index_t numbers, const T* x, T* out);
template <class T>
void gelu_changes(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                  const sink<T>& out);

// ---- layer/attention.cu ----

struct attention_shape {
  int heads, size, area;  // size: channels of a head
  bool causal;

  ZO_HD int in_channels() const { return 3 * heads * size; }
  ZO_HD index_t scores() const { return index_t{heads} * area * area; }  // of a sample
  // Positions that position i attends to.
  ZO_HD int seen(int i) const { return causal ? i + 1 : area; }
  ZO_HD double scale() const { return 1 / std::sqrt(static_cast<double>(size)); }
};

// Probabilities and their logarithms: [sample][head][position][position attended to].
template <class T>
struct attention_base {
  T *p, *log_p;
};

template <class T>
void attention_values(cudaStream_t stream, index_t samples, const attention_shape& a,
                      const attention_base<T>& base, const T* x, T* out);
// `changes` is room for as many numbers of each probe as there are scores.
template <class T>
void attention_changes(cudaStream_t stream, index_t probes, index_t samples,
                       const attention_shape& a, const attention_base<T>& base, const change<T>& d,
                       const T* x, T* changes, const sink<T>& out);

// ---- loss.cu ----

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
