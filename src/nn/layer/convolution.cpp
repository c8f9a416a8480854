// A window of weights that slides over an image.
#include "nn/layer/list.hpp"
#include "nn/layer/product.hpp"
#include "nn/limits.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::convolution(index_t from, const std::string& name, const convolution_options& o) {
  const shape in = at(from, name.c_str()).out;
  require(o.channels >= 1 && o.kernel >= 1 && o.stride >= 1 && o.padding >= 0,
          "zo::nn::network: ", name,
          ": channels, kernel and stride must be at least 1 and padding at least 0");
  require(o.padding <= detail::most_pixels && o.stride <= detail::most_pixels,
          "zo::nn::network: ", name, ": a padding of ", o.padding, " or a stride of ", o.stride,
          " is wider than any image; use less");
  require(in.height + 2 * o.padding >= o.kernel && in.width + 2 * o.padding >= o.kernel,
          "zo::nn::network: ", name, ": a kernel of ", o.kernel, " does not fit into ", text_of(in),
          " with padding ", o.padding);
  node n;
  n.what = operation::convolution;
  n.name = name;
  n.first = from;
  n.in = in;
  n.kernel = o.kernel;
  n.stride = o.stride;
  n.padding = o.padding;
  n.out = {o.channels, (in.height + 2 * o.padding - o.kernel) / o.stride + 1,
           (in.width + 2 * o.padding - o.kernel) / o.stride + 1};
  admit(n, {o.channels, in.channels, o.kernel, o.kernel}, o.bias ? o.channels : 0);
  n.weight = add_parameter(name + ".weight", {o.channels, in.channels, o.kernel, o.kernel});
  if (o.bias) n.bias = add_parameter(name + ".bias", {o.channels});
  return append(std::move(n));
}

index_t network::position_wise(index_t from, const std::string& name, index_t outputs,
                               const position_wise_options& o) {
  const shape in = at(from, name.c_str()).out;
  require(outputs >= 1, "zo::nn::network: ", name, ": outputs must be at least 1, got ", outputs);
  node n;
  n.what = operation::convolution;
  n.name = name;
  n.first = from;
  n.in = in;
  n.out = {outputs, in.height, in.width};
  admit(n, {outputs, in.channels}, o.bias ? outputs : 0);
  n.weight = add_parameter(name + o.separator + "weight", {outputs, in.channels});
  if (o.bias) n.bias = add_parameter(name + o.separator + "bias", {outputs});
  return append(std::move(n));
}

namespace detail {

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::convolution>::make(const network& net, const plan& how,
                                                              const unit& of) {
  return std::make_unique<product<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::convolution>::make(const network&,
                                                                           const plan&,
                                                                           const unit&);
template std::unique_ptr<layer<double>> maker<operation::convolution>::make(const network&,
                                                                            const plan&,
                                                                            const unit&);

}  // namespace detail
}  // namespace zo::nn
