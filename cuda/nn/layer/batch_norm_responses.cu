// How batch norms answer differences: sums of these over rows, and what follows from them.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "cuda/nn/sums.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/batch_norm.hpp"
#include "zo/nn/layer/mean.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct keep_piece {
  int channels;
  const T* gamma;
  norm_base<T> norm;
  __device__ void operator()(index_t c) const {
    norm.kept[c] = static_cast<T>(static_cast<double>(gamma[c]) / norm.root[c]);
    for (int plane = 1; plane < response_planes; ++plane) norm.kept[plane * channels + c] = T(0);
  }
};

template <class T>
struct pivot_piece {
  change<T> d;
  int channels;
  T* responses;
  __device__ void operator()(index_t probe, index_t c) const {
    const index_t count = tile_rows < d.rows ? tile_rows : d.rows;
    double sum = 0;
    for (index_t row = 0; row < count; ++row) {
      sum += static_cast<double>(d.number((probe * d.rows + row) * channels + c));
    }
    responses[(probe * response_planes + shift_plane) * channels + c] =
        static_cast<T>(sum / static_cast<double>(count));
  }
};

template <class T>
struct change_sums_piece {
  change<T> d;
  int channels;  // of the sums: one of each probe, or all
  const T *x, *centre, *responses;
  T* partial;
  __device__ void operator()(index_t probe, index_t item) const {
    const place_of_item at(item, channels);
    const index_t tiles = tiles_of(d.rows), first = at.high * tile_rows;
    const index_t last = first + tile_rows < d.rows ? first + tile_rows : d.rows;
    const int c = d.how == extent::channel ? d.channel(probe) : at.low;
    const T middle = centre[c];
    const T pivot = responses[(probe * response_planes + shift_plane) * channels + at.low];
    const index_t moved = probe * d.rows * channels + at.low;
    T sum = 0, squares = 0;
    for (index_t row = first; row < last; ++row) {
      const T centred = x[row * d.all_channels + c] - middle;
      const T by = d.number(moved + row * channels) - pivot;
      sum += by;
      squares += nn::detail::square_difference(centred, by);
    }
    T* const to = partial + probe * 2 * channels * tiles + at.high;
    to[at.low * tiles] = sum;
    to[(channels + at.low) * tiles] = squares;
  }
};

template <class T>
struct channel_of_change {
  change<T> d;
  index_t probe;
  int channel;
  __device__ double operator()(index_t row) const {
    return static_cast<double>(d.at(probe, row, channel));
  }
};

template <class T>
struct response_use {
  change<T> d;
  int channels;
  const T* x;
  bool pivoted;
  const T* gamma;
  double epsilon;
  norm_base<T> norm;
  T* responses;
  __device__ void operator()(index_t probe, int item, double sum, double squares) const {
    const int c = d.how == extent::channel ? d.channel(probe) : item;
    T* const to = responses + probe * response_planes * channels + item;
    const double pivot = pivoted ? static_cast<double>(to[shift_plane * channels]) : 0;
    const nn::detail::norm_input input{static_cast<double>(norm.centre[c]), norm.rest[c],
                                       norm.root[c], epsilon, static_cast<double>(gamma[c])};
    const auto found = nn::detail::norm_response_of<T>(
        sum, squares, static_cast<double>(d.rows), pivot, input,
        careful{channel_of<T>{x + c, d.all_channels}, channel_of_change<T>{d, probe, c}, input});
    to[0] = found.scale;
    to[channels] = found.slope;
    to[shift_plane * channels] = found.shift;
    to[3 * channels] = found.rest;
  }
  struct careful {
    channel_of<T> value;
    channel_of_change<T> change;
    nn::detail::norm_input input;
    __device__ norm_response<T> operator()() const {
      return nn::detail::careful_norm_response<T>(change.d.rows, value, change, input);
    }
  };
};

}  // namespace

template <class T>
void keep_responses(cudaStream_t stream, int channels, const T* gamma, const norm_base<T>& norm) {
  for_items(stream, channels, keep_piece<T>{channels, gamma, norm}, values_launch);
}
ZO_BOTH_TYPES(keep_responses);

template <class T>
void find_pivots(cudaStream_t stream, index_t probes, const change<T>& d, T* responses) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_rows(stream, probes, channels, pivot_piece<T>{d, channels, responses}, changes_launch);
}
ZO_BOTH_TYPES(find_pivots);

template <class T>
void change_sums(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                 const T* centre, const T* responses, T* partial) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_rows(stream, probes, tiles_of(d.rows) * channels,
           change_sums_piece<T>{d, channels, x, centre, responses, partial}, changes_launch);
}
ZO_BOTH_TYPES(change_sums);

template <class T>
void find_responses(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                    const T* partial, index_t tiles, bool pivoted, const T* gamma, double epsilon,
                    const norm_base<T>& norm, T* responses) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_sums(stream, probes, channels, tiles, partial,
           response_use<T>{d, channels, x, pivoted, gamma, epsilon, norm, responses});
}
ZO_BOTH_TYPES(find_responses);

}  // namespace zo::cuda::detail
