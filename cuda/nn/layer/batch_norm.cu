// Batch norm: sums over rows, moments, values, and running statistics.
#include "cuda/nn/begin.hpp"
#include "cuda/nn/place.hpp"
#include "cuda/nn/sums.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct value_sums_piece {
  index_t rows;
  int channels;
  const T *x, *centre;
  T* partial;
  __device__ void operator()(index_t item) const {
    const place_of_item at(item, channels);
    const index_t tiles = tiles_of(rows), first = at.high * tile_rows;
    const index_t last = first + tile_rows < rows ? first + tile_rows : rows;
    const T middle = centre == nullptr ? T(0) : centre[at.low];
    T sum = 0, squares = 0;
    for (index_t row = first; row < last; ++row) {
      const T c = x[row * channels + at.low] - middle;
      sum += c;
      squares += c * c;
    }
    partial[at.low * tiles + at.high] = sum;
    partial[(channels + at.low) * tiles + at.high] = squares;
  }
};

template <class T>
struct mean_use {
  double rows;
  norm_base<T> norm;
  __device__ void operator()(index_t, int c, double sum, double) const {
    norm.centre[c] = static_cast<T>(sum / rows);
  }
};

template <class T>
__device__ void store_moments(const norm_base<T>& norm, index_t c,
                              const nn::detail::norm_moments<T>& found) {
  norm.mean[c] = found.mean;
  norm.variance[c] = found.variance;
  norm.root[c] = found.root;
  norm.centre[c] = found.centre;
  norm.rest[c] = found.rest;
}

template <class T>
struct root_use {
  index_t rows;
  int channels;
  const T* x;
  double epsilon;
  norm_base<T> norm;
  __device__ void operator()(index_t, int c, double sum, double squares) const {
    store_moments(norm, c,
                  nn::detail::norm_moments_of<T>(sum, squares, static_cast<double>(rows),
                                                 static_cast<double>(norm.centre[c]), epsilon,
                                                 careful{rows, {x + c, channels}, epsilon}));
  }
  struct careful {
    index_t rows;
    channel_of<T> value;
    double epsilon;
    __device__ nn::detail::moments operator()() const {
      return nn::detail::careful_moments(rows, value, epsilon);
    }
  };
};

template <class T>
struct running_piece {
  const T *mean, *variance;
  double epsilon;
  norm_base<T> norm;
  __device__ void operator()(index_t c) const {
    store_moments(norm, c, nn::detail::norm_moments_from(mean[c], variance[c], epsilon));
  }
};

template <class T>
struct norm_piece {
  int channels;
  norm_base<T> norm;
  const T *gamma, *beta, *x;
  T* out;
  __device__ void operator()(index_t item) const {
    const int c = place_of_item(item, channels).low;
    const auto line = nn::detail::norm_line_of(gamma[c], beta[c], norm.root[c], norm.rest[c]);
    out[item] = nn::detail::norm_value(line, x[item] - norm.centre[c]);
  }
};

template <class T>
struct statistics_piece {
  double rows, momentum;
  norm_base<T> norm;
  T *mean, *variance;
  __device__ void operator()(index_t c) const {
    mean[c] = nn::detail::moved_statistic(mean[c], momentum, 1, norm.mean[c]);
    variance[c] = nn::detail::moved_statistic(variance[c], momentum,
                                              nn::detail::unbiased_share(rows), norm.variance[c]);
  }
};

template <class T>
struct gamma_step {
  int channels;
  const T* x;
  norm_base<T> norm;
  __device__ int channel(int element) const { return element; }
  __device__ T difference(int c, int row, T step) const {
    return nn::detail::gamma_difference(x[static_cast<index_t>(row) * channels + c],
                                        static_cast<double>(norm.centre[c]), norm.rest[c],
                                        norm.root[c], step);
  }
};

}  // namespace

template <class T>
void value_sums(cudaStream_t stream, index_t rows, int channels, const T* x, const T* centre,
                T* partial) {
  for_items(stream, tiles_of(rows) * channels,
            value_sums_piece<T>{rows, channels, x, centre, partial}, values_launch);
}
ZO_BOTH_TYPES(value_sums);

template <class T>
void find_mean(cudaStream_t stream, index_t rows, int channels, const T* partial,
               const norm_base<T>& norm) {
  for_sums(stream, 1, channels, tiles_of(rows), partial,
           mean_use<T>{static_cast<double>(rows), norm});
}
ZO_BOTH_TYPES(find_mean);

template <class T>
void find_root(cudaStream_t stream, index_t rows, int channels, const T* x, const T* partial,
               double epsilon, const norm_base<T>& norm) {
  for_sums(stream, 1, channels, tiles_of(rows), partial,
           root_use<T>{rows, channels, x, epsilon, norm});
}
ZO_BOTH_TYPES(find_root);

template <class T>
void use_running(cudaStream_t stream, int channels, const T* mean, const T* variance,
                 double epsilon, const norm_base<T>& norm) {
  for_items(stream, channels, running_piece<T>{mean, variance, epsilon, norm}, values_launch);
}
ZO_BOTH_TYPES(use_running);

template <class T>
void norm_values(cudaStream_t stream, index_t rows, int channels, const norm_base<T>& norm,
                 const T* gamma, const T* beta, const T* x, T* out) {
  for_items(stream, rows * channels, norm_piece<T>{channels, norm, gamma, beta, x, out},
            values_launch);
}
ZO_BOTH_TYPES(norm_values);

template <class T>
void move_statistics(cudaStream_t stream, index_t rows, int channels, double momentum,
                     const norm_base<T>& norm, T* mean, T* variance) {
  for_items(stream, channels,
            statistics_piece<T>{static_cast<double>(rows), momentum, norm, mean, variance},
            values_launch);
}
ZO_BOTH_TYPES(move_statistics);

template <class T>
void begin_gamma(cudaStream_t stream, const probe_group<T>& group, index_t rows, int channels,
                 const T* x, const norm_base<T>& norm) {
  begin_by(stream, group, rows, gamma_step<T>{channels, x, norm});
}
ZO_BOTH_TYPES(begin_gamma);

}  // namespace zo::cuda::detail
