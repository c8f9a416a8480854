// The gradient of a network by back-propagation: the yardstick of benchmarks/network_estimates.cpp.
// Nothing in the library uses it.
#pragma once

#include <span>
#include <vector>

#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace bench {

/// Of the mean cross entropy of `targets` after `pass`: one number for each parameter.
std::vector<double> back_propagate(const zo::nn::network& net,
                                   const zo::nn::forward_pass<float>& pass,
                                   std::span<const float> parameters,
                                   std::span<const zo::index_t> targets, int threads);

}  // namespace bench
