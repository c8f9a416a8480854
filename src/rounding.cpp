// Looks for coordinates whose steps are lost in rounding.
#include "zo/rounding.hpp"

#include <cmath>
#include <limits>

namespace zo::detail {

namespace {

// Whether no coordinate up to this size can have a fault: half a spacing is all that rounding
// takes.
template <class T>
bool safe_below(const step_check<T>& check, T size) {
  const T far = size + check.step;
  const T spacing = std::nextafter(far, std::numeric_limits<T>::infinity()) - far;
  return spacing / 2 <= check.most && size + check.reach <= largest<T>();
}

}  // namespace

template <class T>
unsigned step_faults(const step_check<T>& check, index_t count, const T* x) {
  if (safe_below(check, largest_magnitude(count, x))) return 0;
  unsigned faults = 0;
  for (index_t i = 0; i < count; ++i) faults |= check(x[i]);
  return faults;
}

template unsigned step_faults(const step_check<float>&, index_t, const float*);
template unsigned step_faults(const step_check<double>&, index_t, const double*);

}  // namespace zo::detail
