// What an optimizer does to one coordinate: the work of one GPU thread, and the body of the loops
// of src/optimizer.cpp. Compile without contraction: a run must have the same bits everywhere.
// False where that left a number that is not finite.
#pragma once

#include <cmath>

#include "zo/config.hpp"
#include "zo/optimizer.hpp"

namespace zo::detail {

template <class T>
struct sgd_element {
  T rate, decay, momentum;
  bool nesterov, first;
  T* x;
  T* velocity;  // null without momentum

  sgd_element(const update_numbers& n, T* point, T* const state[2])
      : rate(static_cast<T>(n.rate)),
        decay(static_cast<T>(n.decay)),
        momentum(static_cast<T>(n.momentum)),
        nesterov(n.nesterov),
        first(n.first),
        x(point),
        velocity(state[0]) {}

  ZO_HD bool operator()(index_t i, T g) const {
    const T slope = g + decay * x[i];
    if (velocity == nullptr) {
      x[i] -= rate * slope;
      return __builtin_isfinite(x[i]);
    }
    const T v = first ? slope : momentum * velocity[i] + slope;
    velocity[i] = v;
    x[i] -= rate * (nesterov ? slope + momentum * v : v);
    return __builtin_isfinite(x[i]) && __builtin_isfinite(v);
  }
};

template <class T>
struct sign_sgd_element {
  T rate, decay;
  T* x;

  sign_sgd_element(const update_numbers& n, T* point, T* const[2])
      : rate(static_cast<T>(n.rate)), decay(static_cast<T>(n.decay)), x(point) {}

  ZO_HD bool operator()(index_t i, T g) const {
    const T sign = static_cast<T>((g > T(0)) - (g < T(0)));
    x[i] -= rate * (sign + decay * x[i]);
    return __builtin_isfinite(x[i]);
  }
};

template <class T>
struct adam_element {
  T decay, beta1, beta2, rest1, rest2, rate, root2, epsilon;
  T* x;
  T* first;
  T* second;

  adam_element(const update_numbers& n, T* point, T* const state[2])
      : decay(static_cast<T>(n.decay)),
        beta1(static_cast<T>(n.beta1)),
        beta2(static_cast<T>(n.beta2)),
        rest1(static_cast<T>(1.0 - n.beta1)),
        rest2(static_cast<T>(1.0 - n.beta2)),
        rate(static_cast<T>(n.rate_over_correction1)),
        root2(static_cast<T>(n.root_correction2)),
        epsilon(static_cast<T>(n.epsilon)),
        x(point),
        first(state[0]),
        second(state[1]) {}

  ZO_HD bool operator()(index_t i, T g) const {
    const T slope = g + decay * x[i];
    const T m = beta1 * first[i] + rest1 * slope;
    const T v = beta2 * second[i] + rest2 * (slope * slope);
    first[i] = m;
    second[i] = v;
    x[i] -= rate * m / (std::sqrt(v) / root2 + epsilon);
    return __builtin_isfinite(x[i]) && __builtin_isfinite(m) && __builtin_isfinite(v);
  }
};

}  // namespace zo::detail
