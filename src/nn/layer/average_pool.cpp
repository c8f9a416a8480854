// The mean of each window.
#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"
#include "nn/layer/pool.hpp"

namespace zo::nn {

index_t network::average_pool(index_t from, const pool_options& o) {
  return append(detail::pooled(operation::average_pool, from, at(from, "average_pool").out, o));
}

namespace detail {

namespace {

template <class T>
struct average_pool final : by_group<T, average_pool> {
  using by_group<T, average_pool>::by_group;

  static void value(const node& n, const T* in, T* out) { means(n, n.in.channels, in, out); }
  static void difference(const node& n, const channels_of_group<T>& p) {
    means(n, p.channels, p.d, p.out);
  }
  static void means(const node& n, index_t channels, const T* in, T* out) {
    const index_t row = channels * lanes;
    mean(n.in.area() * row, n.out.area() * row, n.kernel * n.kernel, in, out,
         [&](const T* from, T* to) {
           pool(n, channels, from, to, [](T sum, T next) { return sum + next; });
         });
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::average_pool>::make(const network& net, const plan& how,
                                                               const unit& of) {
  return std::make_unique<average_pool<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::average_pool>::make(const network&,
                                                                            const plan&,
                                                                            const unit&);
template std::unique_ptr<layer<double>> maker<operation::average_pool>::make(const network&,
                                                                             const plan&,
                                                                             const unit&);

}  // namespace detail
}  // namespace zo::nn
