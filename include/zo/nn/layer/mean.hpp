// Sums and means of terms, and differences of squares.
#pragma once

#include "zo/config.hpp"
#include "zo/finite.hpp"

namespace zo::nn::detail {

using zo::detail::is_finite;

// Sum of term(0) … term(count - 1) over `all`, also where it is the sum that is beyond all numbers.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable  // terms of the host are for the host
#endif
template <class T, class Term>
ZO_HD T sum_over(T all, index_t count, const Term& term) {
  T sum = 0;
  for (index_t k = 0; k < count; ++k) sum += term(k);
  if (is_finite(sum)) return sum / all;
  sum = 0;
  for (index_t k = 0; k < count; ++k) sum += term(k) / all;
  return sum;
}
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class T, class Term>
ZO_HD T mean_of(index_t count, const Term& term) {
  return sum_over(static_cast<T>(count), count, term);
}

// Numbers that follow one another.
template <class T>
struct row_of {
  const T* values;
  ZO_HD double operator()(index_t k) const { return static_cast<double>(values[k]); }
};

// (base + change)^2 - base^2.
template <class T>
ZO_HD T square_difference(T base, T change) {
  return change * (2 * base + change);
}

}  // namespace zo::nn::detail
