// x Phi(x).
#include "zo/nn/layer/gelu.hpp"

#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"

namespace zo::nn {

index_t network::gelu(index_t from) {
  node n;
  n.what = operation::gelu;
  n.first = from;
  n.in = n.out = at(from, "gelu").out;
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
struct gelu_layer final : by_group<T, gelu_layer> {
  using by_group<T, gelu_layer>::by_group;

  static void value(const node& n, const T* in, T* out) {
    for (index_t i = 0; i < n.in.size() * lanes; ++i) {
      out[i] = static_cast<T>(gelu(static_cast<double>(in[i])));
    }
  }
  static void difference(const node& n, const channels_of_group<T>& p) {
    const index_t row = p.channels * lanes;
    for (index_t position = 0; position < n.in.area(); ++position) {
      const T* const before = p.x + position * p.x_step * lanes;
      for (index_t i = 0; i < row; ++i) {
        p.out[position * row + i] = static_cast<T>(gelu_difference(
            static_cast<double>(before[i]), static_cast<double>(p.d[position * row + i])));
      }
    }
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::gelu>::make(const network& net, const plan& how,
                                                       const unit& of) {
  return std::make_unique<gelu_layer<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::gelu>::make(const network&, const plan&,
                                                                    const unit&);
template std::unique_ptr<layer<double>> maker<operation::gelu>::make(const network&, const plan&,
                                                                     const unit&);

}  // namespace detail
}  // namespace zo::nn
