// The objective of the lazy claims: the sum of squares of float coordinates, in double.
#pragma once

#include <zo/cuda.hpp>

namespace bench {

struct squares {
  template <class Part>
  ZO_HD double part(const Part& x) const {
    double sum = 0;
    x.each([&](zo::index_t, float value) {
      const auto wide = static_cast<double>(value);
      sum += wide * wide;
    });
    return sum;
  }
};

}  // namespace bench
