// A linear map of a whole value: a convolution whose only window is the image.
#include "nn/layer/list.hpp"
#include "nn/layer/product.hpp"

namespace zo::nn {

index_t network::linear(index_t from, const std::string& name, index_t outputs, bool bias) {
  const shape in = at(from, name.c_str()).out;
  zo::detail::require(outputs >= 1, "zo::nn::network: ", name, ": outputs must be at least 1, got ",
                      outputs);
  node n;
  n.what = operation::linear;
  n.name = name;
  n.first = from;
  n.in = in;
  n.out = {outputs, 1, 1};
  admit(n, {outputs, in.size()}, bias ? outputs : 0);
  n.weight = add_parameter(name + ".weight", {outputs, in.size()});
  if (bias) n.bias = add_parameter(name + ".bias", {outputs});
  return append(std::move(n));
}

namespace detail {

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::linear>::make(const network& net, const plan& how,
                                                         const unit& of) {
  return std::make_unique<product<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::linear>::make(const network&, const plan&,
                                                                      const unit&);
template std::unique_ptr<layer<double>> maker<operation::linear>::make(const network&, const plan&,
                                                                       const unit&);

}  // namespace detail
}  // namespace zo::nn
