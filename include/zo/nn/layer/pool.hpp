// Pools of one window: the maximum; means are those of zo/nn/layer/mean.hpp.
#pragma once

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

using zo::detail::is_finite;

// The larger one, or NaN where one is: a comparison alone would let NaN lose.
template <class T>
ZO_HD T larger(T a, T b) {
  return b > a || b != b ? b : a;
}

// (base - value) + change for a number of a window and its maximum. What rounding leaves of the
// first difference is added last, for where the other two cancel.
template <class T>
ZO_HD T above_maximum(T base, T value, T change) {
  const T gap = base - value, part = gap - base;
  const T left = (base - (gap - part)) - (value + part);
  return is_finite(gap) ? (gap + change) + left : gap + change;
}

}  // namespace zo::nn::detail
