// Who evaluates what: the layers of zo/nn/operation.hpp, each made in the file of its name.
#pragma once

#include <memory>

#include "nn/layer/layer.hpp"

namespace zo::nn::detail {

/// `make` is defined in src/nn/layer/<What>.cpp; a layer without does not link.
template <operation What>
struct maker {
  template <class T>
  static std::unique_ptr<layer<T>> make(const network& net, const plan& how, const unit& of);
};

/// What evaluates a unit of a plan.
template <class T>
std::unique_ptr<layer<T>> make_layer(const network& net, const plan& how, const unit& of);

}  // namespace zo::nn::detail
