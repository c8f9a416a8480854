// Every second row and column, and zero channels around.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct subsample_piece {
  window w;
  change<T> d;
  index_t items;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const bool single = d.how == extent::channel;
    const place_of_item at(item, single ? 1 : w.out_channels);
    const window_place from(w, at.high);
    const int before = (w.out_channels - w.in_channels) / 2;
    const int channel = single ? d.channel(probe) : at.low - before;
    const bool has = channel >= 0 && channel < w.in_channels;
    const T moved = has ? d.at(probe, from.in_row(w, 0, 0), channel) : T(0);
    out.put(probe * items + item, moved);
  }
};

}  // namespace

template <class T>
void subsample_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.out_channels);
  for_rows(stream, probes, items, subsample_piece<T>{w, d, items, out}, changes_launch);
}
ZO_BOTH_TYPES(subsample_changes);

}  // namespace zo::cuda::detail
