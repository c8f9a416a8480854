// max(x, 0).
#include "zo/nn/layer/relu.hpp"
#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"

namespace zo::nn {

index_t network::relu(index_t from) {
  node n;
  n.what = operation::relu;
  n.first = from;
  n.in = n.out = at(from, "relu").out;
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
struct relu final : by_group<T, relu> {
  using by_group<T, relu>::by_group;

  static void value(const node& n, const T* in, T* out) {
    for (index_t i = 0; i < n.in.size() * lanes; ++i) out[i] = in[i] < T(0) ? T(0) : in[i];
  }
  static void difference(const node& n, const channels_of_group<T>& p) {
    const index_t row = p.channels * lanes;
    for (index_t position = 0; position < n.in.area(); ++position) {
      const T* const before = p.x + position * p.x_step * lanes;
      for (index_t i = 0; i < row; ++i) {
        p.out[position * row + i] = relu_difference(before[i], p.d[position * row + i]);
      }
    }
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::relu>::make(const network& net, const plan& how,
                                                       const unit& of) {
  return std::make_unique<relu<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::relu>::make(const network&, const plan&,
                                                                    const unit&);
template std::unique_ptr<layer<double>> maker<operation::relu>::make(const network&, const plan&,
                                                                     const unit&);

}  // namespace detail
}  // namespace zo::nn
