// Checks that the rules and sets share: numbers of an optimizer are given in double and used as T.
#pragma once

#include <cstdint>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"

namespace zo {

template <class Rule, scalar T>
class updater;  // zo/optimizer.hpp

namespace detail {

template <class T>
bool fits(double value) {
  return is_finite(static_cast<T>(value));
}

inline void check_weight_decay(const char* who, double decay) {
  require(decay >= 0 && is_finite(decay), who,
          ": weight_decay must be a number of at least 0, got ", decay);
}
inline void check_radius(const char* who, double radius) {
  require(radius > 0 && is_finite(radius), who, ": radius must be a number above 0, got ", radius);
}
template <class T>
void check_decay(const char* who, double decay) {
  require(fits<T>(decay), who, ": weight_decay ", decay, " is infinite in this scalar type");
}
template <class T>
void check_fraction(const char* who, const char* what, double value) {
  require(static_cast<T>(value) < T(1), who, ": ", what, " ", value,
          " is 1 in this scalar type; use a smaller one or double");
}
template <class T>
T rate_as(double rate, std::uint64_t step) {
  require(fits<T>(rate), "zo::updater: the rate at step ", step, " is ", rate,
          ", which is infinite in this scalar type; use a lower one or double");
  return static_cast<T>(rate);
}

}  // namespace detail
}  // namespace zo
