// The largest value of each window.
#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"
#include "nn/layer/pool.hpp"
#include "zo/nn/layer/pool.hpp"

namespace zo::nn {

index_t network::max_pool(index_t from, const pool_options& o) {
  return append(detail::pooled(operation::max_pool, from, at(from, "max_pool").out, o));
}

namespace detail {

namespace {

template <class T>
struct max_pool final : by_group<T, max_pool> {
  using by_group<T, max_pool>::by_group;

  static void value(const node& n, const T* in, T* out) {
    pool(n, n.in.channels, in, out, larger<T>);
  }
  static void difference(const node& n, const channels_of_group<T>& p) {
    best_loops<T>().max_difference({n.out.width,
                                    n.out.height,
                                    n.kernel,
                                    n.stride,
                                    n.in.width,
                                    p.channels,
                                    {p.d, p.channels},
                                    {p.x, p.x_step},
                                    {p.y, p.y_step},
                                    p.out});
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::max_pool>::make(const network& net, const plan& how,
                                                           const unit& of) {
  return std::make_unique<max_pool<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::max_pool>::make(const network&, const plan&,
                                                                        const unit&);
template std::unique_ptr<layer<double>> maker<operation::max_pool>::make(const network&,
                                                                         const plan&, const unit&);

}  // namespace detail
}  // namespace zo::nn
