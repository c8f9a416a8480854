// The layers of the CPU: a line each in list.cpp.
#pragma once

#include <memory>

#include "nn/layer/layer.hpp"

namespace zo::nn::detail {

/// What evaluates a unit of a plan.
template <class T>
std::unique_ptr<layer<T>> make_layer(const network& net, const plan& how, const unit& of);

}  // namespace zo::nn::detail
