// Stochastic gradient descent with momentum.
#pragma once

#include <cstdint>
#include <utility>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/rule/numbers.hpp"
#include "zo/schedule.hpp"

namespace zo {

struct sgd_options {
  schedule rate = 1e-2;
  double momentum = 0.0;      ///< in [0, 1)
  double weight_decay = 0.0;  ///< adds weight_decay * x to the gradient
  bool nesterov = false;      ///< needs momentum
};

/// Stochastic gradient descent: v = momentum v + g (v = g at first), x -= rate v; Nesterov:
/// x -= rate (g + momentum v). As in PyTorch. State: d with momentum, none without.
class sgd {
 public:
  template <class T>
  struct element {
    T rate, decay, momentum;
    bool nesterov, first;
    T* x;
    T* velocity;  // null without momentum

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

  template <detail::number N>
  sgd(N) = delete;  // give the option its name: zo::sgd({.rate = 0.1})
  sgd(sgd_options options = {}) : options_(std::move(options)) {  // NOLINT: options alone read well
    detail::require(options_.momentum >= 0 && options_.momentum < 1,
                    "zo::sgd: momentum must be in [0, 1), got ", options_.momentum);
    detail::check_weight_decay("zo::sgd", options_.weight_decay);
    detail::require(!options_.nesterov || options_.momentum > 0,
                    "zo::sgd: nesterov needs a momentum above 0");
  }

  template <scalar T>
  updater<sgd, T> start(index_t dimension) const {
    return {*this, dimension};
  }

  template <class T>
  void check(index_t /*dimension*/) const {
    detail::check_fraction<T>("zo::sgd", "momentum", options_.momentum);
    detail::check_decay<T>("zo::sgd", options_.weight_decay);
  }
  int state_vectors() const { return options_.momentum > 0 ? 1 : 0; }
  double rate(std::uint64_t step) const { return options_.rate(step); }
  template <class T>
  element<T> at(std::uint64_t step, T* x, T* const* state) const {
    return {detail::rate_as<T>(rate(step), step),
            static_cast<T>(options_.weight_decay),
            static_cast<T>(options_.momentum),
            options_.nesterov,
            step == 0,
            x,
            options_.momentum > 0 ? state[0] : nullptr};
  }

 private:
  sgd_options options_;
};

}  // namespace zo
