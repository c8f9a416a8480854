// The loops over lane rows, avx2.
#include "simd/avx2.hpp"

#include "lanes_kernels.hpp"

namespace zo::nn::detail {

template <>
loops<float> loops_of_set<float>::avx2() {
  return all_loops<float>();
}
template <>
loops<double> loops_of_set<double>::avx2() {
  return all_loops<double>();
}

}  // namespace zo::nn::detail
