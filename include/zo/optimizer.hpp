// First-order optimizers: per-element updates of x from a gradient, with schedules.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/rounding.hpp"
#include "zo/schedule.hpp"

namespace zo {

struct sgd_options {
  schedule rate = 1e-2;
  double momentum = 0.0;      ///< in [0, 1)
  double weight_decay = 0.0;  ///< adds weight_decay * x to the gradient
  bool nesterov = false;      ///< needs momentum
};

struct sign_sgd_options {
  schedule rate = 1e-3;
  double weight_decay = 0.0;  ///< x shrinks by rate * weight_decay * x, apart from the sign
};

struct adam_options {
  schedule rate = 1e-3;
  double beta1 = 0.9;         ///< in [0, 1)
  double beta2 = 0.999;       ///< in [0, 1)
  double epsilon = 1e-8;      ///< above 0
  double weight_decay = 0.0;  ///< adds weight_decay * x to the gradient, before the moments
};

namespace detail {

inline void check_weight_decay(const char* who, double decay) {
  require(decay >= 0 && detail::is_finite(decay), who,
          ": weight_decay must be a number of at least 0, got ", decay);
}

// Numbers of an optimizer are given in double and used as T.
template <class T>
bool fits(double value) {
  return detail::is_finite(static_cast<T>(value));
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
inline void check_steps(std::uint64_t steps) {
  require(steps < std::uint64_t{1} << 56, "zo::updater: steps must be below 2^56, got ", steps);
}

// Numbers of one step, ready for the element loops of src/optimizer.cpp.
struct update_numbers {
  double rate = 0, decay = 0;
  double momentum = 0;                                                  // sgd
  bool nesterov = false, first = false;                                 // sgd
  double beta1 = 0, beta2 = 0;                                          // adam
  double rate_over_correction1 = 0, root_correction2 = 1, epsilon = 0;  // adam
};

template <class T>
void check_rate(const update_numbers& n, std::uint64_t step) {
  for (const double rate : {n.rate, n.rate_over_correction1}) {
    require(fits<T>(rate), "zo::updater: the rate at step ", step, " is ", rate,
            ", which is infinite in this scalar type; use a lower one or double");
  }
}

// The state arrays are those of the rule: none, velocity, or first and second moment.
template <class T>
void sgd_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x);
template <class T>
void sign_sgd_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x);
template <class T>
void adam_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x);

}  // namespace detail

/// The running state of an optimizer over d coordinates: up to two vectors of d, and the step
/// count.
template <class Rule, scalar T>
class updater {
 public:
  updater(Rule rule, index_t dimension) : rule_(std::move(rule)), dimension_(dimension) {
    detail::check_dimension("zo::updater", dimension);
    rule_.template check<T>();
    for (int k = 0; k < rule_.state_vectors(); ++k) {
      state_[static_cast<std::size_t>(k)].resize(static_cast<std::size_t>(dimension));
    }
  }

  /// Moves x by one step against `gradient` (both d numbers). The same bits for every policy. False
  /// if that left a number of x or of the state that is not finite: no step from there means
  /// anything.
  template <execution_policy Policy>
  bool step(const Policy& policy, std::span<T> x, std::span<const T> gradient) {
    detail::require(static_cast<index_t>(x.size()) == dimension_ && gradient.size() == x.size(),
                    "zo::updater: x and gradient must have ", dimension_, " coordinates, got ",
                    x.size(), " and ", gradient.size());
    const detail::update_numbers numbers = rule_.numbers(steps_);
    detail::check_rate<T>(numbers, steps_);
    std::atomic<bool> finite{true};
    constexpr index_t chunk = index_t{1} << 14;
    detail::parallel_for(policy, (dimension_ + chunk - 1) / chunk, [&](index_t item, int) {
      const index_t at = item * chunk;
      const index_t count = std::min(chunk, dimension_ - at);
      T* const state[2] = {state_at(0, at), state_at(1, at)};
      rule_.update(numbers, count, gradient.data() + at, state, x.data() + at);
      for (const T* const some :
           {static_cast<const T*>(x.data() + at), static_cast<const T*>(state[0]),
            static_cast<const T*>(state[1])}) {
        if (some != nullptr && !detail::all_finite(count, some)) finite = false;
      }
    });
    ++steps_;
    return finite;
  }

  /// Steps done, and the state vectors (empty where the rule has none): all a checkpoint needs.
  std::uint64_t steps() const { return steps_; }
  std::array<std::span<T>, 2> state() { return {std::span<T>(state_[0]), std::span<T>(state_[1])}; }
  /// Continues from `steps` steps done; the state vectors are written through state().
  void resume_at(std::uint64_t steps) {
    detail::check_steps(steps);
    steps_ = steps;
  }

 private:
  T* state_at(std::size_t k, index_t at) {
    return state_[k].empty() ? nullptr : state_[k].data() + at;
  }

  Rule rule_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  std::array<std::vector<T>, 2> state_;
};

/// Stochastic gradient descent: v = momentum v + g (v = g at first), x -= rate v; Nesterov:
/// x -= rate (g + momentum v). As in PyTorch. State: d with momentum, none without.
class sgd {
 public:
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
  void check() const {
    detail::check_fraction<T>("zo::sgd", "momentum", options_.momentum);
    detail::check_decay<T>("zo::sgd", options_.weight_decay);
  }
  int state_vectors() const { return options_.momentum > 0 ? 1 : 0; }
  detail::update_numbers numbers(std::uint64_t step) const {
    detail::update_numbers n;
    n.rate = options_.rate(step);
    n.decay = options_.weight_decay;
    n.momentum = options_.momentum;
    n.nesterov = options_.nesterov;
    n.first = step == 0;
    return n;
  }
  template <class T>
  void update(const detail::update_numbers& n, index_t count, const T* g, T* const state[2],
              T* x) const {
    detail::sgd_update<T>(n, count, g, state, x);
  }

 private:
  sgd_options options_;
};

/// x -= rate sign(g); a zero gradient does not move x. State: none.
/// Source: Liu et al., "signSGD via zeroth-order oracle", ICLR 2019.
class sign_sgd {
 public:
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
  void check() const {
    detail::check_decay<T>("zo::sign_sgd", options_.weight_decay);
  }
  int state_vectors() const { return 0; }
  detail::update_numbers numbers(std::uint64_t step) const {
    detail::update_numbers n;
    n.rate = options_.rate(step);
    n.decay = options_.weight_decay;
    return n;
  }
  template <class T>
  void update(const detail::update_numbers& n, index_t count, const T* g, T* const state[2],
              T* x) const {
    detail::sign_sgd_update<T>(n, count, g, state, x);
  }

 private:
  sign_sgd_options options_;
};

/// Adam with bias correction. State: 2 d. Source: Kingma and Ba, ICLR 2015; as in PyTorch.
class adam {
 public:
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
  void check() const {
    detail::check_fraction<T>("zo::adam", "beta1", options_.beta1);
    detail::check_fraction<T>("zo::adam", "beta2", options_.beta2);
    const T epsilon = static_cast<T>(options_.epsilon);
    detail::require(epsilon > T(0) && detail::is_finite(epsilon), "zo::adam: epsilon ",
                    options_.epsilon, " is zero or infinite in this scalar type; use double");
    detail::check_decay<T>("zo::adam", options_.weight_decay);
  }
  int state_vectors() const { return 2; }
  detail::update_numbers numbers(std::uint64_t step) const {
    detail::update_numbers n;
    n.decay = options_.weight_decay;
    n.beta1 = options_.beta1;
    n.beta2 = options_.beta2;
    n.epsilon = options_.epsilon;
    n.rate_over_correction1 = options_.rate(step) / (1.0 - detail::power(options_.beta1, step + 1));
    n.root_correction2 = std::sqrt(1.0 - detail::power(options_.beta2, step + 1));
    return n;
  }
  template <class T>
  void update(const detail::update_numbers& n, index_t count, const T* g, T* const state[2],
              T* x) const {
    detail::adam_update<T>(n, count, g, state, x);
  }

 private:
  adam_options options_;
};

}  // namespace zo
