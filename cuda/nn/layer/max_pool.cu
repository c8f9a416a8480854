// Maxima of windows.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/pool.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct max_pool_piece {
  window w;
  const T* x;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item row(item, w.in_channels);
    const window_place at(w, row.high);
    T most = x[static_cast<index_t>(at.in_row(w, 0, 0)) * w.in_channels + row.low];
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        const T next = x[static_cast<index_t>(at.in_row(w, dy, dx)) * w.in_channels + row.low];
        most = nn::detail::larger(most, next);
      }
    }
    out[item] = most;
  }
};

template <class T>
struct max_change_piece {
  window w;
  change<T> d;
  index_t items;
  const T *x, *value;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const element_of<T> e(d, probe, item, items);
    const window_place at(w, e.row);
    const T was = value[static_cast<index_t>(e.row) * w.in_channels + e.channel];
    T best = 0;
    for (int tap = 0; tap < w.taps(); ++tap) {
      const index_t row = at.in_row(w, tap / w.width, tap % w.width);
      const T grown = nn::detail::above_maximum(x[row * w.in_channels + e.channel], was,
                                                d.at(probe, row, e.channel));
      best = tap > 0 ? nn::detail::larger(best, grown) : grown;
    }
    out.put(e.out, best);
  }
};

}  // namespace

template <class T>
void max_pool_values(cudaStream_t stream, index_t samples, const window& w, const T* x, T* out) {
  for_items(stream, samples * w.out_area() * w.in_channels, max_pool_piece<T>{w, x, out},
            values_launch);
}
ZO_BOTH_TYPES(max_pool_values);

template <class T>
void max_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const change<T>& d, const T* x, const T* value, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.in_channels);
  for_rows(stream, probes, items, max_change_piece<T>{w, d, items, x, value, out}, changes_launch);
}
ZO_BOTH_TYPES(max_pool_changes);

}  // namespace zo::cuda::detail
