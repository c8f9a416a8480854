// A number of its own for each channel of each position, a thread a number.
#include "cuda/nn/begin.hpp"
#include "cuda/nn/place.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct positions_piece {
  int numbers;  // of a sample
  const T *table, *x;
  T* out;
  __device__ void operator()(index_t item) const {
    out[item] = x[item] + table[place_of_item(item, numbers).low];
  }
};

template <class T>
struct position_step {
  int channels, area;
  __device__ int channel(int element) const { return element % channels; }
  __device__ T difference(int element, int row, T step) const {
    return row % area == element / channels ? step : T(0);
  }
};

template <class T>
struct same_change_piece {
  change<T> d;
  index_t items;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const element_of<T> e(d, probe, item, items);
    out.put(e.out, d.at(probe, e.row, e.channel));
  }
};

}  // namespace

template <class T>
void positions_values(cudaStream_t stream, index_t samples, const window& w, const T* table,
                      const T* x, T* out) {
  const int numbers = w.out_area() * w.out_channels;
  for_items(stream, samples * numbers, positions_piece<T>{numbers, table, x, out}, values_launch);
}
ZO_BOTH_TYPES(positions_values);

template <class T>
void begin_positions(cudaStream_t stream, const probe_group<T>& group, const window& w,
                     index_t samples) {
  begin_by(stream, group, samples * w.out_area(), position_step<T>{w.out_channels, w.out_area()});
}
ZO_BOTH_TYPES(begin_positions);

template <class T>
void positions_changes(cudaStream_t stream, index_t probes, const change<T>& d,
                       const sink<T>& out) {
  for_rows(stream, probes, d.items(), same_change_piece<T>{d, d.items(), out}, changes_launch);
}
ZO_BOTH_TYPES(positions_changes);

}  // namespace zo::cuda::detail
