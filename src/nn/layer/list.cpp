#include "nn/layer/list.hpp"

#include <array>
#include <utility>

namespace zo::nn::detail {

namespace {

// All operations but the input, which is no layer.
template <class T, std::size_t... K>
std::unique_ptr<layer<T>> make_of_list(std::index_sequence<K...>, const network& net,
                                       const plan& how, const unit& of) {
  constexpr std::array makers{&maker<operations[K + 1].what>::template make<T>...};
  const operation what = net.nodes()[static_cast<std::size_t>(of.head())].what;
  return makers[static_cast<std::size_t>(what) - 1](net, how, of);
}

}  // namespace

template <class T>
std::unique_ptr<layer<T>> make_layer(const network& net, const plan& how, const unit& of) {
  return make_of_list<T>(std::make_index_sequence<operations.size() - 1>(), net, how, of);
}

template std::unique_ptr<layer<float>> make_layer(const network&, const plan&, const unit&);
template std::unique_ptr<layer<double>> make_layer(const network&, const plan&, const unit&);

}  // namespace zo::nn::detail
