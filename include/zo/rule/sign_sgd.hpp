// Steps of one length along the signs of the gradient.
#pragma once

#include <cstdint>
#include <utility>

#include "zo/config.hpp"
#include "zo/rule/numbers.hpp"
#include "zo/schedule.hpp"

namespace zo {

struct sign_sgd_options {
  schedule rate = 1e-3;
  double weight_decay = 0.0;  ///< x shrinks by rate * weight_decay * x, apart from the sign
};

/// x -= rate sign(g); a zero gradient does not move x. State: none.
/// Source: Liu et al., "signSGD via zeroth-order oracle", ICLR 2019.
class sign_sgd {
 public:
  template <class T>
  struct element {
    T rate, decay;
    T* x;

    ZO_HD bool operator()(index_t i, T g) const {
      const T sign = static_cast<T>((g > T(0)) - (g < T(0)));
      x[i] -= rate * (sign + decay * x[i]);
      return __builtin_isfinite(x[i]);
    }
  };

  template <detail::number N>
  sign_sgd(N) = delete;  // give the option its name: zo::sign_sgd({.rate = 0.1})
  sign_sgd(sign_sgd_options options = {}) : options_(std::move(options)) {  // NOLINT: reads well
    detail::check_weight_decay("zo::sign_sgd", options_.weight_decay);
  }

  template <scalar T>
  updater<sign_sgd, T> start(index_t dimension) const {
    return {*this, dimension};
  }

  template <class T>
  void check(index_t /*dimension*/) const {
    detail::check_decay<T>("zo::sign_sgd", options_.weight_decay);
  }
  int state_vectors() const { return 0; }
  double rate(std::uint64_t step) const { return options_.rate(step); }
  template <class T>
  element<T> at(std::uint64_t step, T* x, T* const* /*state*/) const {
    return {detail::rate_as<T>(rate(step), step), static_cast<T>(options_.weight_decay), x};
  }

 private:
  sign_sgd_options options_;
};

}  // namespace zo
