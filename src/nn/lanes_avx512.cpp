// The loops over lane rows, avx512.
#include "simd/avx512.hpp"

#include "lanes_kernels.hpp"

namespace zo::nn::detail {

template <>
loops<float> loops_of_set<float>::avx512() {
  return all_loops<float>();
}
template <>
loops<double> loops_of_set<double>::avx512() {
  return all_loops<double>();
}

}  // namespace zo::nn::detail
