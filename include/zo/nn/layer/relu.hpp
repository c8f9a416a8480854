// ReLU of one number, and its difference.
#pragma once

#include "zo/config.hpp"

namespace zo::nn::detail {

template <class T>
ZO_HD T relu_value(T x) {
  return x < T(0) ? T(0) : x;
}

// max(base + change, 0) - max(base, 0), where no two large numbers are subtracted; NaN for an
// infinite base above zero.
template <class T>
ZO_HD T relu_difference(T base, T change) {
  const T least = base > T(0) ? -base : T(0);
  const T moved = base > T(0) ? change + (base - base) : base + change;
  return moved < least ? least : moved;
}

}  // namespace zo::nn::detail
