// Arithmetic of 113 bits for right values; where a compiler has none, that of long double.
#pragma once

#include <cmath>

namespace testing_nn {

#if defined(__SIZEOF_FLOAT128__)
__extension__ typedef __float128 wide;
#else
using wide = long double;
#endif

inline wide abs_of(wide v) { return v < 0 ? -v : v; }

// By its series near 0, then e^2x - 1 = (e^x - 1) (e^x + 1).
inline wide expm1_of(wide x) {
  int halvings = 0;
  for (; abs_of(x) > wide(1) / 256; x /= 2) ++halvings;
  wide sum = 0, term = 1;
  for (int k = 1; k < 20; ++k) sum += term *= x / k;
  for (; halvings > 0; --halvings) sum *= 2 + sum;
  return sum;
}
inline wide exp_of(wide x) { return x < 0 ? 1 / (1 + expm1_of(-x)) : 1 + expm1_of(x); }

// By Newton's iteration.
inline wide log1p_of(wide x) {
  wide y = std::log1p(static_cast<double>(x));
  for (int k = 0; k < 3; ++k) {
    const wide grown = expm1_of(y);
    y -= (grown - x) / (1 + grown);
  }
  return y;
}

}  // namespace testing_nn
