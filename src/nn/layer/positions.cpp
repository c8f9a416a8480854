// A number of its own for each channel of each position.
#include <algorithm>

#include "nn/layer/list.hpp"
#include "nn/loop_by_place.hpp"

namespace zo::nn {

index_t network::positions(index_t from, const std::string& name) {
  const shape in = at(from, name.c_str()).out;
  node n;
  n.what = operation::positions;
  n.name = name;
  n.first = from;
  n.in = n.out = in;
  admit(n, {in.area(), in.channels}, 0);
  n.weight = add_parameter(name + ".weight", {in.area(), in.channels});
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
class positions final : public copied_layer<T, positions<T>> {
 public:
  positions(const network& net, const plan& how, const unit& of)
      : copied_layer<T, positions<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) override {
    const T* const table = of.parameter(node_.weight).data();
    const index_t numbers = node_.out.size();
    loop_by_place(call.threads, groups_of(of.samples), [&](index_t g) {
      const T* const in = std::as_const(of).data(node_.first) + g * numbers * lanes;
      T* const out = of.data(unit_.last) + g * numbers * lanes;
      for (index_t i = 0; i < numbers; ++i) {
        for (index_t k = 0; k < lanes; ++k) out[i * lanes + k] = in[i * lanes + k] + table[i];
      }
    });
  }

  index_t channel_of(const view& parameter, index_t element) const override {
    return element % parameter.dims.back();
  }

  void start(const batch<T>& base, const view& parameter, index_t element, T step,
             const lane_change<T>& out) const override {
    const index_t area = node_.out.area(), position = element / parameter.dims.back();
    for (index_t row = 0; row < groups_of(base.samples) * area; ++row) {
      std::fill_n(out.data + row * lanes, lanes, row % area == position ? step : T(0));
    }
  }

  void follow(const question<T>& q) const override {
    const index_t channels = q.main.channels(node_.in.channels);
    std::copy_n(q.main.data, q.groups() * node_.in.area() * channels * lanes, q.out.data);
  }

 private:
  using copied_layer<T, positions<T>>::node_;
  using copied_layer<T, positions<T>>::unit_;
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::positions>::make(const network& net, const plan& how,
                                                            const unit& of) {
  return std::make_unique<positions<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::positions>::make(const network&,
                                                                         const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::positions>::make(const network&,
                                                                          const plan&, const unit&);

}  // namespace detail
}  // namespace zo::nn
