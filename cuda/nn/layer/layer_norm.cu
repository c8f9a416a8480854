// Layer normalization, over the channels of each row, as the CPU has it: in double. A thread finds
// the moments of a row, or follows the difference of one.
#include "cuda/nn/begin.hpp"
#include "cuda/nn/place.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::cuda::detail {

namespace {

// The channels of one row.
template <class T>
struct row_values {
  const T* numbers;
  __device__ double operator()(index_t c) const { return static_cast<double>(numbers[c]); }
};
template <class T>
struct row_changes {
  const change<T>& d;
  index_t probe, row;
  __device__ double operator()(index_t c) const {
    return static_cast<double>(d.at(probe, row, static_cast<int>(c)));
  }
};

template <class T>
struct row_moments_piece {
  int channels;
  double epsilon;
  row_moments norm;
  const T* x;
  __device__ void operator()(index_t row) const {
    const auto found =
        nn::detail::careful_moments(channels, row_values<T>{x + row * channels}, epsilon);
    norm.mean[row] = found.mean;
    norm.root[row] = found.root;
  }
};

template <class T>
struct layer_norm_piece {
  int channels;
  row_moments norm;
  const T *gamma, *beta, *x;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item at(item, channels);
    const double centred = static_cast<double>(x[item]) - norm.mean[at.high];
    out[item] = static_cast<T>(centred / norm.root[at.high] * static_cast<double>(gamma[at.low]) +
                               static_cast<double>(beta[at.low]));
  }
};

template <class T>
struct row_gamma_step {
  int channels;
  const T* x;
  row_moments norm;
  __device__ int channel(int element) const { return element; }
  __device__ T difference(int c, int row, T step) const {
    return nn::detail::gamma_difference(x[static_cast<index_t>(row) * channels + c], norm.mean[row],
                                        0, norm.root[row], step);
  }
};

// Differences are those of a batch norm whose batch are the channels.
template <class T>
struct layer_norm_change_piece {
  change<T> d;
  double epsilon;
  row_moments norm;
  const T *gamma, *x;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t row) const {
    const row_values<T> value{x + row * d.all_channels};
    const row_changes<T> by{d, probe, row};
    const double mean = norm.mean[row];
    const auto how = nn::detail::careful_norm_response<double>(
        d.all_channels, value, by, {mean, 0, norm.root[row], epsilon, 1});
    for (int c = 0; c < d.all_channels; ++c) {
      const double moved = nn::detail::norm_difference(how, value(c) - mean, by(c));
      out.put((probe * d.rows + row) * d.all_channels + c,
              static_cast<T>(moved * static_cast<double>(gamma[c])));
    }
  }
};

}  // namespace

template <class T>
void layer_norm_values(cudaStream_t stream, index_t rows, int channels, double epsilon,
                       const row_moments& norm, const T* gamma, const T* beta, const T* x, T* out) {
  for_items(stream, rows, row_moments_piece<T>{channels, epsilon, norm, x}, values_launch);
  for_items(stream, rows * channels, layer_norm_piece<T>{channels, norm, gamma, beta, x, out},
            values_launch);
}
ZO_BOTH_TYPES(layer_norm_values);

template <class T>
void begin_row_gamma(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                     const T* x, const row_moments& norm) {
  begin_by(stream, group, rows, row_gamma_step<T>{channels, x, norm});
}
ZO_BOTH_TYPES(begin_row_gamma);

template <class T>
void layer_norm_changes(cudaStream_t stream, index_t probes, const change<T>& d, double epsilon,
                        const row_moments& norm, const T* gamma, const T* x, const sink<T>& out) {
  for_rows(stream, probes, d.rows, layer_norm_change_piece<T>{d, epsilon, norm, gamma, x, out},
           changes_launch);
}
ZO_BOTH_TYPES(layer_norm_changes);

}  // namespace zo::cuda::detail
