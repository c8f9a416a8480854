// Where differences begin: what a step of one parameter makes of its own layer's output.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct begin_piece {
  probe_group<T> group;
  tensor_of tensor;
  window w;
  index_t rows;
  const T* x;
  norm_base<T> norm;
  int* channels;
  T* out;
  __device__ void operator()(index_t probe, index_t row) const {
    const index_t number = group.order[probe];
    const place_of_item element(group.coordinates[number] - tensor.offset, tensor.per_channel);
    const T step = group.steps[number];
    if (row == 0) channels[probe] = element.high;
    out[probe * rows + row] = value(element, static_cast<int>(row), step);
  }
  __device__ T value(const place_of_item& element, int row, T step) const {
    if (tensor.role == tensor_role::bias || tensor.role == tensor_role::beta) return step;
    if (tensor.role == tensor_role::gamma) {
      const int c = element.high;
      return nn::detail::gamma_difference(x[static_cast<index_t>(row) * w.in_channels + c],
                                          static_cast<double>(norm.centre[c]), norm.rest[c],
                                          norm.root[c], step);
    }
    const place_of_item channel(element.low, w.taps()), tap(channel.low, w.width);
    const window_place at(w, row);
    const int y = at.top + tap.high, left = at.left + tap.low;
    if (y < 0 || y >= w.in_height || left < 0 || left >= w.in_width) return T(0);
    const index_t in = at.in_row(w, tap.high, tap.low);
    return step * x[in * w.in_channels + channel.high];
  }
};

}  // namespace

template <class T>
void begin_changes(cudaStream_t stream, const probe_group<T>& group, const tensor_of& tensor,
                   const window& w, index_t samples, const T* x, const norm_base<T>& norm,
                   int* channels, T* out) {
  const index_t rows = samples * w.out_area();
  for_rows(stream, group.count, rows,
           begin_piece<T>{group, tensor, w, rows, x, norm, channels, out}, changes_launch);
}
ZO_BOTH_TYPES(begin_changes);

}  // namespace zo::cuda::detail
