// Optimizers on the device: rules of zo/optimizer.hpp with state in device memory.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/cuda/device_code.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/optimizer.hpp"
#include "zo/proximal.hpp"
#if ZO_DEVICE_CODE
#include "zo/cuda/element.hpp"
#endif

namespace zo::cuda {

namespace detail {

// What the loops of an element run on: zo's own kernels, or those of the file that nvcc compiles.
template <class Element, class T>
void walk(const stream_context& at, const Element& element, index_t count, const T* gradient,
          unsigned long long* infinite) {
  if constexpr (zo::detail::place_of<Element> >= 0) {
    walk_compiled(at, zo::detail::place_of<Element>, &element, count, gradient, infinite);
  } else {
#if ZO_DEVICE_CODE
    walk_here(at, element, count, gradient, infinite);
#else
    static_assert(zo::detail::place_of<Element> >= 0,
                  "zo::cuda: a rule of your own runs on the GPU: compile this file with nvcc (name "
                  "it *.cu) and include zo/cuda.hpp");
#endif
  }
}

}  // namespace detail

/// A zo::optimizer_rule that can make its steps on the device.
template <class R, class T>
concept optimizer_rule = zo::optimizer_rule<R, T> && zo::detail::rule(
    requires(const R& rule, T* x, T* const* state) {
      requires std::is_trivially_copyable_v<decltype(rule.at(std::uint64_t{}, x, state))>;
    },
    "zo::cuda::optimizer_rule: the element of a rule is copied to the GPU byte by byte: give it "
    "numbers and pointers, no std::vector") &&
    zo::detail::rule(
        !zo::detail::has_prox<R> || requires(const R& rule, const policy& on,
                                             span<T> x) { rule.prox(on, x, std::uint64_t{}); },
        "zo::cuda::optimizer_rule: on the device prox is called as prox(const zo::cuda::policy&, "
        "zo::cuda::span<T> x, std::uint64_t step) const");

/// What moves x on the device: zo::cuda::updater, or a class of one's own. step() may be called
/// with the address of a number that becomes 1 when it leaves the finite numbers.
template <class U, class T>
concept updater_for = zo::detail::rule(
    requires(U& updater, const policy& on, span<T> x, span<const T> gradient) {
      updater.step(on, x, gradient);
    },
    "zo::cuda::updater_for: an updater moves x by step(const zo::cuda::policy&, "
    "zo::cuda::span<T> x, zo::cuda::span<const T> gradient)");

/// Runs body(i) for every i < count, one thread each: see zo::for_coordinates. Enqueued.
template <zo::detail::ending_element Body>
void for_coordinates(const policy& on, index_t count, const Body& body) {
  detail::walk(on, body, count, static_cast<const float*>(nullptr), nullptr);
}

/// zo::box with a bound for each coordinate, which it copies to the device.
class box {
 public:
  box(const policy& on, const std::vector<double>& lower, const std::vector<double>& upper)
      : host_(lower, upper),
        lower_(std::make_shared<array<double>>(on, lower)),
        upper_(std::make_shared<array<double>>(on, upper)) {}

  template <class T>
  void check(index_t dimension) const {
    host_.template check<T>(dimension);
  }
  template <scalar T>
  void project(const policy& on, span<T> x) const {
    for_coordinates(on, x.size(), element_of<T>(x.data()));
  }
  /// The bounds of each coordinate, in device memory, and what moves x[i] between them.
  template <scalar T>
  zo::box::element<T> element_of(T* x) const {
    return {T(0), T(0), lower_->data(), upper_->data(), x};
  }
  const zo::box& on_host() const { return host_; }
  template <class Print>
  void describe(Print& print) const {
    host_.describe(print);
  }

 private:
  zo::box host_;
  std::shared_ptr<const array<double>> lower_, upper_;
};

/// The running state of an optimizer over d coordinates in device memory: the arrays of d of its
/// rule, and the step count, which the host keeps. Schedules and corrections are evaluated when a
/// step is enqueued: a captured step replays the numbers of its capture.
template <class Rule, scalar T>
class updater {
  static_assert(optimizer_rule<Rule, T>);

 public:
  updater(const policy& on, Rule rule, index_t dimension)
      : rule_(std::move(rule)), dimension_(dimension) {
    zo::detail::check_dimension("zo::cuda::updater", dimension);
    zo::detail::check_rule<Rule, T>(rule_, dimension);
    for (int k = 0; k < rule_.state_vectors(); ++k) {
      state_.emplace_back(on, dimension);
      places_.push_back(state_.back().data());
      detail::fill_zero(on.stream(), places_.back(), dimension * static_cast<index_t>(sizeof(T)));
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
    const auto element = rule_.at(steps_, x.data(), static_cast<T* const*>(places_.data()));
    detail::walk(on, element, dimension_, gradient.data(), infinite);
    if constexpr (zo::detail::has_prox<Rule>) {
      rule_.prox(on, x, steps_);
      if (infinite != nullptr) {
        detail::find_infinite(on, dimension_, static_cast<const T*>(x.data()), infinite);
      }
    }
    ++steps_;
  }

  /// Steps done, and the state arrays: all a checkpoint needs.
  std::uint64_t steps() const { return steps_; }
  std::vector<span<T>> state() { return {state_.begin(), state_.end()}; }
  /// Continues from `steps` steps done; the state arrays are written through state().
  void resume_at(std::uint64_t steps) {
    zo::detail::check_steps(steps);
    steps_ = steps;
  }

 private:
  Rule rule_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  std::vector<array<T>> state_;
  std::vector<T*> places_;  // of the state
};

}  // namespace zo::cuda
