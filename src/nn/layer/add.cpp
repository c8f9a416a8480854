// The sum of two values, and the ReLU that follows it.
#include <algorithm>

#include "nn/layer/list.hpp"
#include "nn/loop_by_place.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::add(index_t a, index_t b) {
  const shape first = at(a, "add").out, second = at(b, "add").out;
  require(first == second, "zo::nn::network: ", text_of(first), " and ", text_of(second),
          " cannot be added");
  node n;
  n.what = operation::add;
  n.first = a;
  n.second = b;
  n.in = n.out = first;
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
class add final : public copied_layer<T, add<T>> {
 public:
  add(const network& net, const plan& how, const unit& of)
      : copied_layer<T, add<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) override {
    const index_t numbers = node_.out.size() * lanes;
    loop_by_place(call.threads, groups_of(of.samples), [&](index_t g) {
      const T* const a = std::as_const(of).data(unit_.main) + g * numbers;
      const T* const b = std::as_const(of).data(unit_.other) + g * numbers;
      T* const sum = of.data(unit_.sum) + g * numbers;
      for (index_t i = 0; i < numbers; ++i) sum[i] = a[i] + b[i];
      if (unit_.relu < 0) return;
      T* const out = of.data(unit_.last) + g * numbers;
      for (index_t i = 0; i < numbers; ++i) out[i] = sum[i] < T(0) ? T(0) : sum[i];
    });
  }

  void follow(const question<T>& q) const override {
    const index_t rows = q.groups() * node_.out.area(), all = node_.out.channels;
    const index_t channels = q.out.channels(all), offset = q.out.offset();
    if (q.main.how == q.other.how) {
      for (index_t i = 0; i < rows * channels * lanes; ++i) {
        q.out.data[i] = q.main.data[i] + q.other.data[i];
      }
    } else {
      std::fill_n(q.out.data, rows * channels * lanes, T(0));
      add_part(q.main, q.out, rows);
      add_part(q.other, q.out, rows);
    }
    if (unit_.relu < 0) return;
    const T* const before = q.base.data(unit_.sum) + offset * lanes;
    for (index_t row = 0; row < rows; ++row) {
      T* const d = q.out.data + row * channels * lanes;
      for (index_t i = 0; i < channels * lanes; ++i) {
        d[i] = relu_difference(before[row * all * lanes + i], d[i]);
      }
    }
  }

 private:
  void add_part(const lane_change<T>& d, const lane_change<T>& to, index_t rows) const {
    if (d.how == extent::none) return;
    const index_t all = node_.out.channels, own = d.channels(all), made = to.channels(all);
    for (index_t row = 0; row < rows; ++row) {
      const T* const from = d.data + row * own * lanes;
      T* const out = to.data + (row * made + d.offset() - to.offset()) * lanes;
      for (index_t i = 0; i < own * lanes; ++i) out[i] += from[i];
    }
  }

  using copied_layer<T, add<T>>::node_;
  using copied_layer<T, add<T>>::unit_;
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::add>::make(const network& net, const plan& how,
                                                      const unit& of) {
  return std::make_unique<add<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::add>::make(const network&, const plan&,
                                                                   const unit&);
template std::unique_ptr<layer<double>> maker<operation::add>::make(const network&, const plan&,
                                                                    const unit&);

}  // namespace detail
}  // namespace zo::nn
