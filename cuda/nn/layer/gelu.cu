// x Phi(x), a thread a number.
#include "zo/nn/layer/gelu.hpp"

#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct gelu_piece {
  const T* x;
  T* out;
  __device__ void operator()(index_t i) const {
    out[i] = static_cast<T>(nn::detail::gelu(static_cast<double>(x[i])));
  }
};

template <class T>
struct gelu_change_piece {
  change<T> d;
  index_t items;
  const T* x;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const element_of<T> e(d, probe, item, items);
    const T before = x[static_cast<index_t>(e.row) * d.all_channels + e.channel];
    const T by = d.at(probe, e.row, e.channel);
    out.put(e.out, static_cast<T>(nn::detail::gelu_difference(static_cast<double>(before),
                                                              static_cast<double>(by))));
  }
};

}  // namespace

template <class T>
void gelu_values(cudaStream_t stream, index_t numbers, const T* x, T* out) {
  for_items(stream, numbers, gelu_piece<T>{x, out}, values_launch);
}
ZO_BOTH_TYPES(gelu_values);

template <class T>
void gelu_changes(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                  const sink<T>& out) {
  for_rows(stream, probes, d.items(), gelu_change_piece<T>{d, d.items(), x, out}, changes_launch);
}
ZO_BOTH_TYPES(gelu_changes);

}  // namespace zo::cuda::detail
