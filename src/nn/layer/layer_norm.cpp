// Layer normalization: over the channels, at each position by itself. Its differences are those of
// a batch norm whose batch are the channels, in double.
#include <cmath>

#include "nn/layer/list.hpp"
#include "nn/loop_by_place.hpp"
#include "zo/nn/layer/batch_norm.hpp"

namespace zo::nn {

index_t network::layer_norm(index_t from, const std::string& name, double epsilon) {
  const shape in = at(from, name.c_str()).out;
  zo::detail::require(epsilon > 0 && std::isfinite(epsilon), "zo::nn::network: ", name,
                      ": epsilon must be above 0 and finite, got ", epsilon);
  node n;
  n.what = operation::layer_norm;
  n.name = name;
  n.first = from;
  n.in = n.out = in;
  n.epsilon = epsilon;
  admit(n, {in.channels}, in.channels);
  n.weight = add_parameter(name + ".weight", {in.channels});
  n.bias = add_parameter(name + ".bias", {in.channels});
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
class layer_norm final : public copied_layer<T, layer_norm<T>> {
 public:
  layer_norm(const network& net, const plan& how, const unit& of)
      : copied_layer<T, layer_norm<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) override {
    const index_t area = node_.in.area(), channels = node_.in.channels;
    const auto numbers = static_cast<std::size_t>(groups_of(of.samples) * area * lanes);
    moments_.resize(numbers);
    const std::span<const T> gamma = of.parameter(node_.weight), beta = of.parameter(node_.bias);
    loop_by_place(call.threads, groups_of(of.samples), [&](index_t g) {
      for (index_t i = g * area * lanes; i < (g + 1) * area * lanes; ++i) {
        const index_t first = i / lanes * channels * lanes + i % lanes;
        const auto x = numbers_from(std::as_const(of).data(node_.first) + first);
        const moments m = careful_moments(channels, x, node_.epsilon);
        moments_[static_cast<std::size_t>(i)] = m;
        T* const out = of.data(unit_.last) + first;
        for (index_t c = 0; c < channels; ++c) {
          const auto k = static_cast<std::size_t>(c);
          out[c * lanes] = static_cast<T>((x(c) - m.mean) / m.root * static_cast<double>(gamma[k]) +
                                          static_cast<double>(beta[k]));
        }
      }
    });
  }

  void start(const batch<T>& base, const view& parameter, index_t /*element*/, T step,
             const lane_change<T>& out) const override {
    const view& beta = base.net->parameters()[static_cast<std::size_t>(node_.bias)];
    const T* const x = base.data(node_.first) + out.channel * lanes;
    for (index_t i = 0; i < groups_of(base.samples) * node_.in.area() * lanes; ++i) {
      const moments& m = moments_[static_cast<std::size_t>(i)];
      const T value = x[i / lanes * node_.in.channels * lanes + i % lanes];
      out.data[i] = parameter.offset == beta.offset
                        ? step
                        : static_cast<T>(static_cast<double>(step) *
                                         ((static_cast<double>(value) - m.mean) / m.root));
    }
  }

  void follow(const question<T>& q) const override {
    const index_t channels = node_.in.channels;
    const std::span<const T> gamma = q.base.parameter(node_.weight);
    for (index_t i = 0; i < q.groups() * node_.in.area() * lanes; ++i) {
      const index_t row = i / lanes, first = row * channels * lanes + i % lanes;
      const auto x = numbers_from(q.base.data(node_.first) + first);
      const auto d = [&](index_t c) {
        if (q.main.how == extent::full) return static_cast<double>(q.main.data[first + c * lanes]);
        return c == q.main.channel ? static_cast<double>(q.main.data[i]) : 0.0;
      };
      const moments& m = moments_[static_cast<std::size_t>(i)];
      const norm_response<double> how =
          careful_norm_response<double>(channels, x, d, {m.mean, 0, m.root, node_.epsilon, 1});
      for (index_t c = 0; c < channels; ++c) {
        q.out.data[first + c * lanes] =
            static_cast<T>(norm_difference(how, x(c) - m.mean, d(c)) *
                           static_cast<double>(gamma[static_cast<std::size_t>(c)]));
      }
    }
  }

  index_t bytes(index_t count, std::optional<products> /*differences*/) const override {
    return product_of(
        {groups_of(count), node_.in.area(), lanes, static_cast<index_t>(sizeof(moments))});
  }

 private:
  // The channels of one position and sample.
  static auto numbers_from(const T* first) {
    return [first](index_t c) { return static_cast<double>(first[c * lanes]); };
  }

  using copied_layer<T, layer_norm<T>>::node_;
  using copied_layer<T, layer_norm<T>>::unit_;
  std::vector<moments> moments_;  // by position and sample
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::layer_norm>::make(const network& net, const plan& how,
                                                             const unit& of) {
  return std::make_unique<layer_norm<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::layer_norm>::make(const network&,
                                                                          const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::layer_norm>::make(const network&,
                                                                           const plan&,
                                                                           const unit&);

}  // namespace detail
}  // namespace zo::nn
