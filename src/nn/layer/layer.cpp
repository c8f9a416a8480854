#include "nn/layer/layer.hpp"

#include <algorithm>

namespace zo::nn::detail {

template <class T>
void widen(const shape& s, index_t groups, const lane_change<T>& c, T* out) {
  std::fill_n(out, groups * s.size() * lanes, T(0));
  for (index_t row = 0; row < groups * s.area(); ++row) {
    std::copy_n(c.data + row * lanes, lanes, out + (row * s.channels + c.channel) * lanes);
  }
}

template void widen(const shape&, index_t, const lane_change<float>&, float*);
template void widen(const shape&, index_t, const lane_change<double>&, double*);

}  // namespace zo::nn::detail
