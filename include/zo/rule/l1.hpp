// The sum of magnitudes: a penalty that makes numbers zero.
#pragma once

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"

namespace zo {

/// weight * sum of |x[i]|, for zo::proximal: after a step every number is moved towards zero by
/// rate * weight, and stays there when it arrives.
class l1 {
 public:
  template <class T>
  struct element {
    T reach;
    T* x;

    ZO_HD void operator()(index_t i) const {
      const T v = x[i];
      x[i] = v > reach ? v - reach : v < -reach ? v + reach : v == v ? T(0) : v;  // a NaN stays one
    }
  };

  explicit l1(double weight) : weight_(weight) {
    detail::require(weight >= 0 && detail::is_finite(weight),
                    "zo::l1: weight must be a number of at least 0, got ", weight);
  }

  template <class Policy, class X>
  void prox(const Policy& policy, X x, double rate) const {
    using T = typename X::value_type;
    for_coordinates(policy, static_cast<index_t>(x.size()),
                    element<T>{static_cast<T>(rate * weight_), x.data()});
  }

 private:
  double weight_;
};

}  // namespace zo
