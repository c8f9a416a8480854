// First-order training of the same networks, the upper bound: gradients by back-propagation.
#pragma once

#include <memory>
#include <string>

#include "estimator.hpp"

namespace deepzero {

/// Whether this program was built with LibTorch.
bool has_first_order();

/// The sentence for those who ask all the same.
std::string without_first_order();

/// Gradients by LibTorch's back-propagation through the network described; float32, deterministic
/// for one number of threads. A step counts as 3 forward passes and no queries. Throws
/// std::runtime_error with that sentence in a program without LibTorch.
std::unique_ptr<estimator> make_first_order(const zo::nn::network& net, const settings& s);

}  // namespace deepzero
