// Images as samples have them, channel by channel, and as layers want them.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
struct channels_last_piece {
  int channels, area;
  const T* rows;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item row(item, channels), image(row.high, area);
    out[item] = rows[(static_cast<index_t>(image.high) * channels + row.low) * area + image.low];
  }
};

}  // namespace

template <class T>
void to_channels_last(cudaStream_t stream, index_t samples, int channels, int area, const T* rows,
                      T* out) {
  for_items(stream, samples * channels * area, channels_last_piece<T>{channels, area, rows, out},
            values_launch);
}
ZO_BOTH_TYPES(to_channels_last);

}  // namespace zo::cuda::detail
