// The loops over lane rows, generic.
#include "simd/generic.hpp"

#include "lanes_kernels.hpp"

namespace zo::nn::detail {

template <>
loops<float> loops_of_set<float>::generic() {
  return all_loops<float>();
}
template <>
loops<double> loops_of_set<double>::generic() {
  return all_loops<double>();
}

}  // namespace zo::nn::detail
