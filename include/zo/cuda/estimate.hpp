// One gradient estimate on the device.
#pragma once

#include <memory>
#include <utility>

#include "zo/config.hpp"
#include "zo/cuda/machine.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/estimate.hpp"
#include "zo/estimator.hpp"
#include "zo/shared.hpp"

namespace zo {

namespace cuda {

/// An estimate that is on its way: its gradient is there for what is enqueued after it on the same
/// stream; its numbers are there when the GPU has made them.
class pending_estimate {
 public:
  /// Evaluations of the objective, known at once. On a GPU a failed query does not end an estimate
  /// early: all of them are made.
  index_t queries() const { return queries_; }

  /// Waits for the stream. `value`, `failed` and `ok` as on the CPU. With a workspace of the
  /// user's: of the last estimate made, or replayed, with it. Throws while the stream is being
  /// captured.
  estimate_result get() const {
    zo::detail::require(report_ != nullptr,
                        "zo::cuda: this estimate was captured without a workspace, so that its "
                        "result is not kept; give zo::estimate a zo::cuda::workspace");
    detail::report found{};
    detail::copy_to_host(on_, report_, sizeof found, &found);
    const auto why = static_cast<flaw>(found.why);
    return {found.value, queries_, static_cast<index_t>(found.failed), why == flaw::none, why, {}};
  }

  pending_estimate(const policy& on, index_t queries, const detail::report* report,
                   std::unique_ptr<workspace> own = {})
      : on_(on), queries_(queries), report_(report), own_(std::move(own)) {}

 private:
  policy on_;
  index_t queries_;
  const detail::report* report_;
  std::unique_ptr<workspace> own_;
};

/// An estimator `How` that can ask the device objective `F` over scalars `T`.
template <class How, class F, class T>
concept estimator_for = estimator_on<How, machine<T, F>> && objective<F, T> &&
    zo::detail::rule(point_objective<F, T> || std::remove_cvref_t<How>::asks != asks::points,
                     "zo: this estimator asks whole points, and the objective answers differences "
                     "of coordinates only: use zo::cge, or a batch objective");

namespace detail {

// Throws unless all processes of a team, if there is one, make the same estimate.
template <class T, class How>
void agree_on_estimate(const policy& on, span<const T> x, index_t rows, const How& how,
                       const estimate_options& options) {
  zo::detail::agree_on_estimate<T>(
      on.team(), x.size(), rows,
      [&how](zo::detail::fingerprint& print) { zo::detail::describe(how, print); }, options,
      [&on, x] { return fingerprint_of(on, x); });
}

// Enqueues one estimate.
template <class T, class F, class How>
pending_estimate estimate_rows(const policy& on, F& f, const row_problem<T>& problem,
                               const How& how, const estimate_options& options, workspace& memory) {
  machine<T, F> here(on, f, memory);
  auto run = how.start(here);
  zo::detail::make_estimate(here, run, problem, options);
  return {on, here.queries(), here.report()};
}

// What cuda::estimator_for asks for, as assertions: nvcc does not say which part of a concept
// fails.
template <class How, class F, class T>
constexpr void check_estimator() {
  static_assert(
      objective<F, T>,
      "zo::cuda::objective: an objective of the device is called as f(zo::cuda::points<T>, "
      "zo::cuda::span<double> losses, cudaStream_t); docs/cuda.md shows the other kinds");
  if constexpr (objective<F, T>) {
    static_assert(
        estimator_on<How, machine<T, F>>,
        "zo::estimator_on: an estimator is wanted here, such as zo::rge() or zo::cge(), or "
        "a zo::estimator_on of your own with queries, asks and start");
    if constexpr (estimator_on<How, machine<T, F>>) {
      static_assert(estimator_for<How, F, T>,
                    "zo::cuda::estimator_for: this estimator asks whole points, and the objective "
                    "answers differences of coordinates only: use zo::cge, or a batch objective");
    }
  }
}

template <class T>
void check_vectors(const policy& on, span<const T> x, span<T> gradient) {
  constexpr const char* who = "zo::estimate";
  zo::detail::check_dimension(who, x.size());
  zo::detail::require(x.size() == gradient.size(), who,
                      ": gradient must have as many coordinates as x, got ", gradient.size(),
                      " and ", x.size());
  zo::detail::require(apart(x, gradient), who, ": gradient must not overlap x");
  check_device_pointer(on, who, "x", x.data());
  check_device_pointer(on, who, "gradient", gradient.data());
}

}  // namespace detail
}  // namespace cuda

/// Enqueues an estimate of the gradient of `f` at `x`, both in device memory: see zo::estimate of
/// zo/estimate.hpp. Waits for nothing; can be captured into a graph.
///
/// The gradient has the bits of zo::seq wherever `f` answers the same losses, whatever the GPU and
/// its launch geometry. Differences to the CPU: all queries are made, also after a failed one, and
/// an exception of `f` (on_failure::stop) leaves the gradient as far as it got. Memory: candidates
/// of at most chunk_bytes for batch objectives, none for lazy ones; some numbers a direction.
/// Throws std::invalid_argument for bad sizes and options, zo::cuda::error for failed CUDA calls.
template <class F, cuda::device_vector X, cuda::writable_device_vector G, class How>
requires std::same_as<cuda::device_scalar_of<X>, cuda::device_scalar_of<G>> cuda::pending_estimate
estimate(const cuda::policy& on, F&& f, const X& x, G&& gradient, const How& how,
         const estimate_options& options, cuda::workspace& memory) {
  using T = cuda::device_scalar_of<G>;
  cuda::detail::check_estimator<How, std::remove_reference_t<F>, T>();
  const cuda::span<const T> from(x);
  const cuda::span<T> to(gradient);
  cuda::detail::check_vectors(on, from, to);
  detail::check_options("zo::estimate", options);
  detail::require(memory.on().stream() == on.stream(),
                  "zo::estimate: the workspace belongs to another stream; make one a stream");
  const detail::in_use::hold alone("zo::estimate", memory.use());
  detail::check_known_values("zo::estimate", options, 1);
  cuda::detail::agree_on_estimate(on, from, 1, how, options);
  const row_problem<T> problem{from.data(), 1, from.size(), to.data(), nullptr};
  return cuda::detail::estimate_rows(on, f, problem, how, options, memory);
}

template <class F, cuda::device_vector X, cuda::writable_device_vector G, class How>
requires std::same_as<cuda::device_scalar_of<X>, cuda::device_scalar_of<G>> cuda::pending_estimate
estimate(const cuda::policy& on, F&& f, const X& x, G&& gradient, const How& how,
         const estimate_options& options = {}) {
  auto memory = std::make_unique<cuda::workspace>(on);
  const bool captured = cuda::detail::capturing(on.stream());
  memory->allow_capture();
  const index_t queries = estimate(on, f, x, gradient, how, options, *memory).queries();
  if (captured) return {on, queries, nullptr};
  const auto* report = memory->take<cuda::detail::report>(cuda::detail::room::report, 1);
  memory->keep_report();
  return {on, queries, report, std::move(memory)};
}

}  // namespace zo
