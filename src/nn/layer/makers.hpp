// Where each layer is made: defined in the file of its name.
#pragma once

#include <memory>

#include "nn/layer/layer.hpp"

namespace zo::nn::detail {

template <class T>
std::unique_ptr<layer<T>> make_convolution(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_linear(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_batch_norm(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_relu(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_max_pool(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_average_pool(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_global_average_pool(const network& net, const plan& how,
                                                   const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_add(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_subsample(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_embedding(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_positions(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_layer_norm(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_gelu(const network& net, const plan& how, const unit& of);
template <class T>
std::unique_ptr<layer<T>> make_attention(const network& net, const plan& how, const unit& of);

}  // namespace zo::nn::detail
