// Whole runs on the device.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include "zo/config.hpp"
#include "zo/cuda/estimate.hpp"
#include "zo/cuda/optimizer.hpp"
#include "zo/minimize.hpp"

namespace zo {

namespace cuda::detail {

// A run's work on the device. What it reads back a step is one report of 24 bytes.
template <class T, class F, class How, class Updater>
class device_machine {
 public:
  using value_type = T;
  static constexpr bool probes = coordinate_objective<F, T>;

  device_machine(const policy& on, F& f, span<T> x, const How& how, Updater& updater)
      : on_(on),
        f_(f),
        x_(x),
        how_(how),
        updater_(updater),
        gradient_(on, x.size()),
        last_(on, x.size()),
        infinite_(on, 1),
        memory_(on) {
    fill_zero(on.stream(), infinite_.data(), sizeof(unsigned long long));
    memory_.watch(infinite_.data());
  }

  index_t dimension() const { return x_.size(); }
  bool drops() const { return how_.options().failures == on_failure::drop; }

  estimate_result estimate(const estimate_options& place) {
    return zo::estimate(on_, f_, x_, gradient_, how_, place, memory_).get();
  }

  bool base_answered() {
    double base = 0;
    copy_to_host(on_, memory_.take<double>(room::base, 1), sizeof base, &base);
    return zo::detail::is_finite(base);
  }

  // Always true: whether it was is known to the next estimate, and to finite().
  bool step() {
    copy_on_device(on_.stream(), x_.data(), bytes(), last_.data());
    if constexpr (requires { updater_.step(on_, x_, gradient_, infinite_.data()); }) {
      updater_.step(on_, x_, gradient_, infinite_.data());
    } else {
      updater_.step(on_, x_, gradient_);
      find_infinite(on_, x_.size(), static_cast<const T*>(x_.data()), infinite_.data());
    }
    return true;
  }
  bool finite() {
    unsigned long long found = 0;
    copy_to_host(on_, infinite_.data(), sizeof found, &found);
    return found == 0;
  }
  void step_back() { copy_on_device(on_.stream(), last_.data(), bytes(), x_.data()); }

  zo::detail::team* others() const { return on_.team(); }
  std::uint64_t point() const { return fingerprint_of(on_, span<const T>(x_)); }

  estimate_result value(const estimate_options& options) {
    memory_.begin("zo::minimize");
    double* const loss = memory_.take<double>(room::base, 1);
    double found = zo::detail::failed_query;
    if constexpr (probes && !point_objective<F, T>) {
      prepare(on_, f_, span<const T>(x_), options, how_.options().failures, loss);
    } else {
      const row_problem<T> problem{x_.data(), 1, x_.size(), nullptr, nullptr};
      asker<T, F> ask(on_, f_, problem, options, how_.options().failures, 0, memory_);
      ask.reserve(1);
      ask.ask_rows(loss);
    }
    copy_to_host(on_, loss, sizeof found, &found);
    const bool good = zo::detail::is_finite(found);
    return {good ? found : zo::detail::failed_query, 1, good ? 0 : 1, good};
  }

 private:
  index_t bytes() const { return x_.size() * static_cast<index_t>(sizeof(T)); }

  const policy& on_;
  F& f_;
  span<T> x_;
  const How& how_;
  Updater& updater_;
  array<T> gradient_;
  array<T> last_;  // x before the last step
  array<unsigned long long> infinite_;
  workspace memory_;
};

}  // namespace cuda::detail

/// Minimizes `f` from `x` in device memory, in place: see zo::minimize of zo/minimize.hpp, which
/// has the same budget, target, status and bits. `optimizer`: zo::sgd, zo::adam, … or a
/// zo::cuda::updater that is kept between calls. Waits for the stream once a step, to read 24
/// bytes; x and the gradient stay on the device. After a failed query, the queries of its whole
/// estimate are counted, because all of them were made; that a step left the finite numbers is
/// known after the estimate that follows it.
template <class F, cuda::writable_device_vector X, class How, class Optimizer>
requires cuda::estimator_for<How, std::remove_reference_t<F>, cuda::device_scalar_of<X>>
    minimize_result minimize(const cuda::policy& on, F&& f, X&& x, const How& how,
                             Optimizer&& optimizer, const minimize_options& options) {
  using T = cuda::device_scalar_of<X>;
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
  const auto run = [&](auto& updater) {
    cuda::detail::device_machine<T, std::remove_reference_t<F>, How,
                                 std::remove_reference_t<decltype(updater)>>
        machine(on, f, point, how, updater);
    return detail::minimize_run(machine, how, options)();
  };
  if constexpr (cuda::updater_for<Optimizer, T>) {
    return run(optimizer);
  } else {
    cuda::updater<std::remove_cvref_t<Optimizer>, T> updater(on, optimizer, point.size());
    return run(updater);
  }
}

}  // namespace zo
