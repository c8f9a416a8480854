// Adam: steps scaled by running means of the gradient and of its square.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/rule/numbers.hpp"
#include "zo/schedule.hpp"

namespace zo {

struct adam_options {
  schedule rate = 1e-3;
  double beta1 = 0.9;         ///< in [0, 1)
  double beta2 = 0.999;       ///< in [0, 1)
  double epsilon = 1e-8;      ///< above 0
  double weight_decay = 0.0;  ///< adds weight_decay * x to the gradient, before the moments
};

/// Adam with bias correction. State: 2 d. Source: Kingma and Ba, ICLR 2015; as in PyTorch.
class adam {
 public:
  template <class T>
  struct element {
    T decay, beta1, beta2, rest1, rest2, rate, root2, epsilon;
    T* x;
    T* first;
    T* second;

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

  template <detail::number N>
  adam(N) = delete;  // give the option its name: zo::adam({.rate = 0.1})
  adam(adam_options options = {})
      : options_(std::move(options)) {  // NOLINT: options alone read well
    detail::require(options_.beta1 >= 0 && options_.beta1 < 1,
                    "zo::adam: beta1 must be in [0, 1), got ", options_.beta1);
    detail::require(options_.beta2 >= 0 && options_.beta2 < 1,
                    "zo::adam: beta2 must be in [0, 1), got ", options_.beta2);
    detail::require(options_.epsilon > 0 && detail::is_finite(options_.epsilon),
                    "zo::adam: epsilon must be a number above 0, got ", options_.epsilon);
    detail::check_weight_decay("zo::adam", options_.weight_decay);
  }

  template <scalar T>
  updater<adam, T> start(index_t dimension) const {
    return {*this, dimension};
  }

  template <class T>
  void check(index_t /*dimension*/) const {
    detail::check_fraction<T>("zo::adam", "beta1", options_.beta1);
    detail::check_fraction<T>("zo::adam", "beta2", options_.beta2);
    const T epsilon = static_cast<T>(options_.epsilon);
    detail::require(epsilon > T(0) && detail::is_finite(epsilon), "zo::adam: epsilon ",
                    options_.epsilon, " is zero or infinite in this scalar type; use double");
    detail::check_decay<T>("zo::adam", options_.weight_decay);
  }
  int state_vectors() const { return 2; }
  double rate(std::uint64_t step) const { return options_.rate(step); }
  template <class T>
  element<T> at(std::uint64_t step, T* x, T* const* state) const {
    const double correction1 = 1.0 - detail::power(options_.beta1, step + 1);
    const double correction2 = 1.0 - detail::power(options_.beta2, step + 1);
    return {static_cast<T>(options_.weight_decay),
            static_cast<T>(options_.beta1),
            static_cast<T>(options_.beta2),
            static_cast<T>(1.0 - options_.beta1),
            static_cast<T>(1.0 - options_.beta2),
            detail::rate_as<T>(rate(step) / correction1, step),
            static_cast<T>(std::sqrt(correction2)),
            static_cast<T>(options_.epsilon),
            x,
            state[0],
            state[1]};
  }

 private:
  adam_options options_;
};

}  // namespace zo
