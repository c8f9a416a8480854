// Layers that need nothing but the values of one group of samples, for all channels or for some.
#pragma once

#include <utility>

#include "nn/layer/layer.hpp"
#include "nn/loop_by_place.hpp"

namespace zo::nn::detail {

/// Differences of neighbouring channels of a group: `channels` of the input become `made` of the
/// output. d and out are dense; x and y are base values of input and output at these channels.
template <class T>
struct channels_of_group {
  index_t channels, made;
  const T *d, *x, *y;
  index_t x_step, y_step;  // lane rows from one position to the next
  T* out;
};

/// Self::value(n, in, out) writes the values of a group, Self::difference(n, channels_of_group) the
/// differences.

template <class T, template <class> class Self>
class by_group : public copied_layer<T, Self<T>> {
 public:
  by_group(const network& net, const plan& how, const unit& of)
      : copied_layer<T, Self<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) final {
    loop_by_place(call.threads, groups_of(of.samples), [&](index_t g) {
      Self<T>::value(node_, std::as_const(of).data(node_.first) + g * node_.in.size() * lanes,
                     of.data(unit_.last) + g * node_.out.size() * lanes);
    });
  }

  void follow(const question<T>& q) const final {
    const index_t channels = q.main.channels(node_.in.channels), offset = q.main.offset();
    const index_t made = q.out.channels(node_.out.channels);
    for (index_t g = 0; g < q.groups(); ++g) {
      const T* const x = q.base.data(node_.first) + (g * node_.in.size() + offset) * lanes;
      const T* const y = q.base.data(unit_.last) + (g * node_.out.size() + q.out.offset()) * lanes;
      Self<T>::difference(
          node_, {channels, made, q.main.data + g * node_.in.area() * channels * lanes, x, y,
                  node_.in.channels, node_.out.channels,
                  q.out.data + g * node_.out.area() * made * lanes});
    }
  }

 protected:
  using copied_layer<T, Self<T>>::node_;
  using copied_layer<T, Self<T>>::unit_;
};

}  // namespace zo::nn::detail
