// A row of a table for each position.
#include "zo/nn/layer/embedding.hpp"

#include <limits>

#include "nn/layer/list.hpp"
#include "zo/execution.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::embedding(index_t from, const std::string& name, index_t entries,
                           index_t channels) {
  const shape in = at(from, name.c_str()).out;
  require(entries >= 1 && channels >= 1, "zo::nn::network: ", name,
          ": entries and channels must be at least 1, got ", entries, " and ", channels);
  require(in.channels == 1, "zo::nn::network: ", name,
          ": tokens are one number at each position, and ", text_of(in), " has ", in.channels,
          " channels");
  node n;
  n.what = operation::embedding;
  n.name = name;
  n.first = from;
  n.in = in;
  n.out = {channels, in.height, in.width};
  admit(n, {entries, channels}, 0);
  n.weight = add_parameter(name + ".weight", {entries, channels});
  return append(std::move(n));
}

namespace detail {

namespace {

template <class T>
class embedding final : public copied_layer<T, embedding<T>> {
 public:
  embedding(const network& net, const plan& how, const unit& of)
      : copied_layer<T, embedding<T>>(net, how, of),
        entries_(net.parameters()[static_cast<std::size_t>(node_.weight)].dims.front()) {}

  void run(batch<T>& of, const pass_call<T>& call) override {
    const index_t area = node_.out.area();
    auto one = [&](index_t g, int) {
      for (index_t row = g * area; row < (g + 1) * area; ++row) {
        for (index_t k = 0; k < lanes; ++k) {
          write(of, std::as_const(of).data(node_.first)[row * lanes + k], k,
                of.data(unit_.last) + row * node_.out.channels * lanes);
        }
      }
    };
    zo::detail::run_loop(call.threads, groups_of(of.samples), zo::detail::loop_body(one));
  }

  index_t channel_of(const view& parameter, index_t element) const override {
    return element % parameter.dims.back();
  }

  // Wherever the token is this one.
  void start(const batch<T>& base, const view& parameter, index_t element, T step,
             const lane_change<T>& out) const override {
    const auto token = static_cast<T>(element / parameter.dims.back());
    const T* const tokens = base.data(node_.first);
    for (index_t i = 0; i < groups_of(base.samples) * node_.out.area() * lanes; ++i) {
      out.data[i] = tokens[i] == token ? step : T(0);
    }
  }

  // Another token: the row that it has instead.
  void follow(const question<T>& q) const override {
    const index_t channels = node_.out.channels;
    const T* const tokens = q.base.data(node_.first);
    for (index_t row = 0; row < q.groups() * node_.out.area(); ++row) {
      T* const out = q.out.data + row * channels * lanes;
      const T* const before = q.base.data(unit_.last) + row * channels * lanes;
      for (index_t k = 0; k < lanes; ++k) {
        const T d = q.main.data[row * lanes + k];
        write(q.base, tokens[row * lanes + k] + d, k, out);
        for (index_t c = 0; c < channels; ++c) {
          T& to = out[c * lanes + k];
          to = d == T(0) ? T(0) : to - before[c * lanes + k];
        }
      }
    }
  }

 private:
  void write(const batch<T>& of, T token, index_t lane, T* out) const {
    const index_t channels = node_.out.channels, row = row_of_token(token, entries_);
    const T* const from = of.parameter(node_.weight).data() + std::max<index_t>(row, 0) * channels;
    for (index_t c = 0; c < channels; ++c) {
      out[c * lanes + lane] = row < 0 ? std::numeric_limits<T>::quiet_NaN() : from[c];
    }
  }

  using copied_layer<T, embedding<T>>::node_;
  using copied_layer<T, embedding<T>>::unit_;
  index_t entries_;
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::embedding>::make(const network& net, const plan& how,
                                                            const unit& of) {
  return std::make_unique<embedding<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::embedding>::make(const network&,
                                                                         const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::embedding>::make(const network&,
                                                                          const plan&, const unit&);

}  // namespace detail
}  // namespace zo::nn
