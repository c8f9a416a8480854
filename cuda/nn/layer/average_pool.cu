// Means of windows, of values and of differences; a window may be the whole image.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/mean.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct mean_change_piece {
  window w;
  change<T> d;
  index_t items;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const element_of<T> e(d, probe, item, items);
    const window_place at(w, e.row);
    out.put(e.out, nn::detail::mean_of<T>(w.taps(), taps_of{w, d, probe, at, e.channel}));
  }
  struct taps_of {
    const window& w;
    const change<T>& d;
    index_t probe;
    const window_place& at;
    int channel;
    __device__ T operator()(index_t tap) const {
      const int k = static_cast<int>(tap);
      return d.at(probe, at.in_row(w, k / w.width, k % w.width), channel);
    }
  };
};

}  // namespace

template <class T>
void mean_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.in_channels);
  for_rows(stream, probes, items, mean_change_piece<T>{w, d, items, out}, changes_launch);
}
ZO_BOTH_TYPES(mean_pool_changes);

}  // namespace zo::cuda::detail
