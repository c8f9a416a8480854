// Optimizers on the device: the rules of zo/optimizer.hpp with state in device memory.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/optimizer.hpp"

namespace zo::cuda {

namespace detail {

template <class T>
void update(const place& at, const sgd&, const zo::detail::update_numbers& n, index_t count,
            const T* g, T* const state[2], T* x, unsigned long long* infinite) {
  sgd_update(at, n, count, g, state, x, infinite);
}
template <class T>
void update(const place& at, const sign_sgd&, const zo::detail::update_numbers& n, index_t count,
            const T* g, T* const state[2], T* x, unsigned long long* infinite) {
  sign_sgd_update(at, n, count, g, state, x, infinite);
}
template <class T>
void update(const place& at, const adam&, const zo::detail::update_numbers& n, index_t count,
            const T* g, T* const state[2], T* x, unsigned long long* infinite) {
  adam_update(at, n, count, g, state, x, infinite);
}

}  // namespace detail

/// The running state of an optimizer over d coordinates in device memory: up to two arrays of d,
/// and the step count, which the host keeps. Schedules and corrections are evaluated when a step is
/// enqueued: a captured step replays the numbers of its capture.
template <class Rule, scalar T>
class updater {
 public:
  updater(const policy& on, Rule rule, index_t dimension)
      : rule_(std::move(rule)),
        dimension_(checked(dimension)),
        state_{array<T>(on, rule_.state_vectors() > 0 ? dimension : 0),
               array<T>(on, rule_.state_vectors() > 1 ? dimension : 0)} {
    for (array<T>& one : state_) {
      if (one.size() > 0) {
        detail::fill_zero(on.stream(), one.data(), one.size() * static_cast<index_t>(sizeof(T)));
      }
    }
  }

  /// Moves x by one step against `gradient` (both d numbers of device memory). Enqueued; the same
  /// bits as on the CPU. `infinite`, in device memory, becomes 1 if that leaves a number of x or of
  /// the state that is not finite.
  void step(const policy& on, span<T> x, span<const T> gradient,
            unsigned long long* infinite = nullptr) {
    zo::detail::require(x.size() == dimension_ && gradient.size() == x.size(),
                        "zo::cuda::updater: x and gradient must have ", dimension_,
                        " coordinates, got ", x.size(), " and ", gradient.size());
    detail::check_device(on, "zo::cuda::updater");
    detail::check_device_pointer(on, "zo::cuda::updater", "x", x.data());
    detail::check_device_pointer(on, "zo::cuda::updater", "gradient", gradient.data());
    T* const state[2] = {state_[0].data(), state_[1].data()};
    const zo::detail::update_numbers numbers = rule_.numbers(steps_);
    zo::detail::check_rate<T>(numbers, steps_);
    detail::update(on, rule_, numbers, dimension_, gradient.data(), state, x.data(), infinite);
    ++steps_;
  }

  /// Steps done, and the state arrays (empty where the rule has none): all a checkpoint needs.
  std::uint64_t steps() const { return steps_; }
  std::array<span<T>, 2> state() { return {span<T>(state_[0]), span<T>(state_[1])}; }
  /// Continues from `steps` steps done; the state arrays are written through state().
  void resume_at(std::uint64_t steps) {
    zo::detail::check_steps(steps);
    steps_ = steps;
  }

 private:
  index_t checked(index_t dimension) const {
    zo::detail::check_dimension("zo::cuda::updater", dimension);
    rule_.template check<T>();
    return dimension;
  }

  Rule rule_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  std::array<array<T>, 2> state_;
};

}  // namespace zo::cuda
