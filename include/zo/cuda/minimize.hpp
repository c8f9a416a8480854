// Whole runs on the device.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "zo/config.hpp"
#include "zo/cuda/estimate.hpp"
#include "zo/cuda/machine.hpp"
#include "zo/cuda/optimizer.hpp"
#include "zo/minimize.hpp"
#include "zo/run.hpp"

namespace zo {

namespace cuda::detail {

// One step of any updater. Always true: whether it left finite numbers is known to the next
// estimate, and to machine::finite().
template <class T, class Updater>
bool step_of(const policy& on, Updater& updater, span<T> x, span<const T> gradient,
             unsigned long long* infinite) {
  if constexpr (requires { updater.step(on, x, gradient, infinite); }) {
    updater.step(on, x, gradient, infinite);
  } else {
    updater.step(on, x, gradient);
    find_infinite(on, x.size(), static_cast<const T*>(x.data()), infinite);
  }
  return true;
}

}  // namespace cuda::detail

/// Minimizes `f` from `x` in device memory, in place: see zo::minimize of zo/minimize.hpp, which
/// has the same budget, target, status and bits. `optimizer`: zo::sgd, zo::adam, … or a
/// zo::cuda::updater that is kept between calls. Waits for the stream once a step, to read 24
/// bytes; x and the gradient stay on the device. After a failed query, the queries of its whole
/// estimate are counted, because all of them were made; that a step left the finite numbers is
/// known after the estimate that follows it.
template <class F, cuda::writable_device_vector X, class How, class Optimizer>
minimize_result minimize(const cuda::policy& on, F&& f, X&& x, const How& how,
                         Optimizer&& optimizer, const minimize_options& options) {
  using T = cuda::device_scalar_of<X>;
  cuda::detail::check_estimator<How, std::remove_reference_t<F>, T>();
  static_assert(
      cuda::updater_for<Optimizer, T> || detail::like_a_rule<std::remove_cvref_t<Optimizer>>,
      "zo: an optimizer is wanted here, such as zo::adam({.rate = 0.01}), a "
      "zo::cuda::optimizer_rule or a zo::cuda::updater_for of your own");
  const cuda::span<T> point(x);
  detail::check_dimension("zo::minimize", point.size());
  cuda::detail::check_device(on, "zo::minimize");
  cuda::detail::check_device_pointer(on, "zo::minimize", "x", point.data());
  detail::require(!cuda::detail::capturing(on.stream()),
                  "zo::minimize waits for the stream, which is being captured; capture estimates "
                  "and steps instead");
  using objective_type = std::remove_reference_t<F>;
  const auto run = [&](auto& updater, std::optional<std::uint64_t> steps_before) {
    cuda::array<unsigned long long> infinite(on, 1);
    cuda::detail::fill_zero(on.stream(), infinite.data(), sizeof(unsigned long long));
    cuda::workspace memory(on);
    memory.watch(infinite.data());
    cuda::machine<T, objective_type> here(on, f, memory);
    detail::running<cuda::machine<T, objective_type>, How> estimator(here, how);
    const auto step = [&](T* to, const T* gradient) {
      return cuda::detail::step_of(on, updater, cuda::span<T>(to, point.size()),
                                   cuda::span<const T>(gradient, point.size()), infinite.data());
    };
    detail::minimize_run<cuda::machine<T, objective_type>> whole(
        here, estimator, point.data(), point.size(), step, steps_before, options);
    return detail::run_to_the_end(here, whole);
  };
  if constexpr (cuda::updater_for<Optimizer, T>) {
    return run(optimizer, detail::steps_of(optimizer));
  } else {
    cuda::updater<std::remove_cvref_t<Optimizer>, T> updater(on, optimizer, point.size());
    return run(updater, {});
  }
}

}  // namespace zo
