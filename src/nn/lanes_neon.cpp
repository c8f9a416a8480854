// The loops over lane rows, neon.
#include "simd/neon.hpp"

#include "lanes_kernels.hpp"

namespace zo::nn::detail {

template <>
loops<float> loops_of_set<float>::neon() {
  return all_loops<float>();
}
template <>
loops<double> loops_of_set<double>::neon() {
  return all_loops<double>();
}

}  // namespace zo::nn::detail
