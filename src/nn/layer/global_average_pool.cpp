// The mean of each channel.
#include <algorithm>

#include "nn/layer/by_group.hpp"
#include "nn/layer/list.hpp"
#include "nn/layer/pool.hpp"

namespace zo::nn {

index_t network::global_average_pool(index_t from) {
  node n;
  n.what = operation::global_average_pool;
  n.first = from;
  n.in = at(from, "global_average_pool").out;
  n.out = {n.in.channels, 1, 1};
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
struct global_average_pool final : by_group<T, global_average_pool> {
  using by_group<T, global_average_pool>::by_group;

  static void value(const node& n, const T* in, T* out) { means(n, n.in.channels, in, out); }
  static void difference(const node& n, const channels_of_group<T>& p) {
    means(n, p.channels, p.d, p.out);
  }
  static void means(const node& n, index_t channels, const T* in, T* out) {
    const index_t row = channels * lanes, area = n.in.area();
    mean(area * row, row, area, in, out, [&](const T* from, T* to) {
      std::copy_n(from, row, to);
      for (index_t p = 1; p < area; ++p) {
        for (index_t i = 0; i < row; ++i) to[i] += from[p * row + i];
      }
    });
  }
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::global_average_pool>::make(const network& net,
                                                                      const plan& how,
                                                                      const unit& of) {
  return std::make_unique<global_average_pool<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::global_average_pool>::make(const network&,
                                                                                   const plan&,
                                                                                   const unit&);
template std::unique_ptr<layer<double>> maker<operation::global_average_pool>::make(const network&,
                                                                                    const plan&,
                                                                                    const unit&);

}  // namespace detail
}  // namespace zo::nn
