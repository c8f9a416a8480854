// Parameters by name: from the tensors of a file, and back.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

/// A tensor as files have it; the values stay the caller's.
template <class T>
struct named_values {
  std::string name;
  std::vector<index_t> dims;
  std::span<const T> values;
};

/// Copies every parameter and statistic of the network from the tensor of its name; `prefix` is cut
/// off the names of the tensors first ("module."). Tensors that the network does not have are left
/// alone if they are called num_batches_tracked, and refused otherwise, as are two of one name and
/// negative variances. Throws std::invalid_argument naming the tensor; nothing is written then.
template <class T>
void load(const network& net, std::span<const named_values<T>> tensors, std::string_view prefix,
          std::span<T> parameters, std::span<T> statistics);

/// Every parameter and statistic as a tensor of its name; the values stay the caller's.
template <class T>
std::vector<named_values<T>> tensors_of(const network& net, std::span<const T> parameters,
                                        std::span<const T> statistics);

}  // namespace zo::nn
