#include "nn/layer/list.hpp"

#include <array>

#include "nn/layer/makers.hpp"

namespace zo::nn::detail {

namespace {

template <class T>
struct maker {
  operation what;
  std::unique_ptr<layer<T>> (*make)(const network&, const plan&, const unit&);
};

template <class T>
constexpr std::array<maker<T>, operations.size()> makers{{
    {operation::input, nullptr},
    {operation::convolution, &make_convolution<T>},
    {operation::linear, &make_linear<T>},
    {operation::batch_norm, &make_batch_norm<T>},
    {operation::relu, &make_relu<T>},
    {operation::max_pool, &make_max_pool<T>},
    {operation::average_pool, &make_average_pool<T>},
    {operation::global_average_pool, &make_global_average_pool<T>},
    {operation::add, &make_add<T>},
    {operation::subsample, &make_subsample<T>},
    {operation::embedding, &make_embedding<T>},
    {operation::positions, &make_positions<T>},
    {operation::layer_norm, &make_layer_norm<T>},
    {operation::gelu, &make_gelu<T>},
    {operation::attention, &make_attention<T>},
}};

consteval bool complete() {
  for (std::size_t k = 0; k < operations.size(); ++k) {
    if (makers<float>[k].what != operations[k].what) return false;
    if (k > 0 && makers<float>[k].make == nullptr) return false;
  }
  return true;
}
static_assert(complete(), "a line for each operation, in the order of the enumeration");

}  // namespace

template <class T>
std::unique_ptr<layer<T>> make_layer(const network& net, const plan& how, const unit& of) {
  const operation what = net.nodes()[static_cast<std::size_t>(of.head())].what;
  return makers<T>[static_cast<std::size_t>(what)].make(net, how, of);
}

template std::unique_ptr<layer<float>> make_layer(const network&, const plan&, const unit&);
template std::unique_ptr<layer<double>> make_layer(const network&, const plan&, const unit&);

}  // namespace zo::nn::detail
