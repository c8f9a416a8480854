// Every second row and column, and channels of zeros around: the shortcut of option A (He et al.,
// CVPR 2016, section 4.1).
#include <algorithm>

#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::subsample(index_t from, index_t channels) {
  const shape in = at(from, "subsample").out;
  require(channels >= in.channels && (channels - in.channels) % 2 == 0,
          "zo::nn::network: subsample pads ", in.channels, " channels evenly, and not to ",
          channels);
  node n;
  n.what = operation::subsample;
  n.first = from;
  n.in = in;
  n.stride = 2;
  n.out = {channels, (in.height + 1) / 2, (in.width + 1) / 2};
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
struct subsample final : by_group<T, subsample> {
  using by_group<T, subsample>::by_group;

  static void value(const node& n, const T* in, T* out) {
    thin(n, n.in.channels, n.out.channels, in, out);
  }
  static void difference(const node& n, const channels_of_group<T>& p) {
    thin(n, p.channels, p.made, p.d, p.out);
  }
  static void thin(const node& n, index_t channels, index_t made, const T* in, T* out) {
    const index_t row = channels * lanes, before = (made - channels) / 2;
    for (index_t y = 0; y < n.out.height; ++y) {
      for (index_t x = 0; x < n.out.width; ++x, out += made * lanes) {
        std::fill_n(out, made * lanes, T(0));
        std::copy_n(in + (y * n.stride * n.in.width + x * n.stride) * row, row,
                    out + before * lanes);
      }
    }
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::subsample>::make(const network& net, const plan& how,
                                                            const unit& of) {
  return std::make_unique<subsample<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::subsample>::make(const network&,
                                                                         const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::subsample>::make(const network&,
                                                                          const plan&, const unit&);

}  // namespace detail
}  // namespace zo::nn
