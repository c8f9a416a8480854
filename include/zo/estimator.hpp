// What an estimator is, and the one run that all estimates by finite differences are made of: base
// point, groups, failures, survivors, means and ends, on whatever machine.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/machine.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// What an estimator asks.
enum class asks {
  points,           ///< whole points only
  points_or_probes  ///< differences of coordinates where the objective has them, else points
};

/// An estimate under way on a machine `M`, which poses questions to it and takes their answers:
///   begin(problem, options)   a new estimate: gradients are to be written there
///   pose()                    takes the answers of the round before and poses the next one with
///                             M::pose…; false: all is answered
///   end()                     writes the gradient
/// One object serves all estimates of a run, in their order, and may keep state from one to the
/// next: numbers of M::vector. It may delegate to other runs, one after another, at other points.
/// Optional: value_is_exact(), whether estimate_result::value is f(x); extra_queries(), beyond
/// those that the estimator states, now; automatic(), what estimate_result::automatic is to be;
/// searches(), whether the round that is posed must be answered whole; state(), a
/// std::vector<std::span<T>> of all that zo::ask must save. It is saved between begin and end, and
/// the estimate begun again from it: until end, only what begin or pose write anew may change.
template <class R, class M>
concept estimate_run = detail::rule(
    requires(R& run, const row_problem<typename M::value_type>& problem,
             const estimate_options& options) { run.begin(problem, options); },
    "zo: the run of an estimator has begin(problem, options): see zo/estimator.hpp") &&
    detail::rule(
        requires(R& run) {
          { run.pose() } -> std::same_as<bool>;
        },
        "zo: the run of an estimator has bool pose(): see zo/estimator.hpp") &&
    detail::rule(
        requires(R& run) { run.end(); },
        "zo: the run of an estimator has end(): see zo/estimator.hpp");

namespace detail {
template <class E, class M>
using run_of = decltype(std::declval<const std::remove_cvref_t<E>&>().start(std::declval<M&>()));
}

/// An estimator on a machine `M`:
///   queries(dimension)   that one estimate costs at most
///   start(machine)       its run
///   asks                 zo::asks: static, what it needs of an objective
/// Optional: describe(print), which adds to a fingerprint what makes its estimates differ, for
/// processes that share them; queries(dimension, step), where steps differ in price; failures(),
/// the policy of a run (zo::on_failure::stop without it).
template <class E, class M>
concept estimator_on = detail::rule(
    requires(const std::remove_cvref_t<E>& how) { how.queries(index_t{}); } ||
        requires { typename detail::run_of<E, M>; },
    "zo: an estimator is wanted here, such as zo::rge() or zo::cge(); in zo::minimize "
    "it stands before the optimizer") &&
    detail::rule(
        requires(const std::remove_cvref_t<E>& how) {
          { how.queries(index_t{}) } -> std::same_as<index_t>;
        },
        "zo: an estimator says what one estimate costs: zo::index_t queries(zo::index_t) const") &&
    detail::rule(
        requires {
          { std::remove_cvref_t<E>::asks } -> std::convertible_to<asks>;
        },
        "zo: an estimator says what it asks: static constexpr zo::asks asks = "
        "zo::asks::points") &&
    detail::rule(
        requires { typename detail::run_of<E, M>; },
        "zo: an estimator makes its run: start(machine) const") &&
    estimate_run<detail::run_of<E, M>, M>;

/// An estimator `E` that can ask the objective `F` over scalars `T`.
template <class E, class F, class T>
concept estimator_for = estimator_on<E, machine<T>> && objective<F, T> &&
    detail::rule(point_objective<F, T> || std::remove_cvref_t<E>::asks != asks::points,
                 "zo: this estimator asks whole points, and the objective answers differences of "
                 "coordinates only: use zo::cge, or an objective f(point) -> loss");

namespace detail {

// Slopes are what an estimator by finite differences is about:
//   uses_base, sides       of its scheme
//   failures()             its policy
//   begin(machine)         checks and chooses; false: there is nothing to estimate from
//   count()                slopes of a row
//   reserve(machine, group)        takes the memory for groups of slopes
//   pose(machine, first, count)    poses their questions, with f(x) if `base`
//   take(machine, first, count)    takes their answers
//   rescales               whether a mean over fewer slopes must be made one
//   replaces               whether there are further slopes for those that fail
template <class M, class Slopes>
class slope_run {
 public:
  using T = typename M::value_type;

  slope_run(M& machine, Slopes slopes) : machine_(machine), slopes_(std::move(slopes)) {}

  // Not inlined, so that programs take those of src/estimators.cpp.
  [[gnu::noinline]] void begin(const row_problem<T>& problem, const estimate_options& options) {
    machine_.open(problem, options, slopes_.failures());
    first_ = here_ = 0;
    replaced_ = 0;
    prepared_ = false;
    prepares_ = will_probe();
    require(prepares_ || machine_.answers_points(),
            "zo: this estimator asks whole points, and the objective answers differences of "
            "coordinates only: use zo::cge, or an objective f(point) -> loss");
    needs_base_ = Slopes::uses_base || prepares_;
    posed_ = false;
    complete_ = slopes_.begin(machine_, prepares_);
    group_ = machine_.group_of(slopes_.count(), Slopes::sides);
    slopes_.reserve(machine_, group_);
  }

  [[gnu::noinline]] bool pose() {
    if (posed_) take();
    if (!complete_) return false;
    if (first_ >= slopes_.count()) return pose_replacements();
    posed_ = true;
    here_ = std::min(group_, slopes_.count() - first_);
    const bool base = needs_base_ && first_ == 0 && !machine_.knows_base();
    if (prepares_ && first_ == 0 && !prepared_) {
      machine_.pose_prepare();
      return true;
    }
    slopes_.pose(machine_, first_, here_, base && !prepares_);
    return true;
  }

  bool value_is_exact() const { return Slopes::uses_base || will_probe(); }
  index_t extra_queries() const { return will_probe() && !Slopes::uses_base ? 1 : 0; }

  void end() { machine_.close(slopes_.count(), needs_base_, Slopes::rescales, complete_); }

  Slopes& slopes() { return slopes_; }

 private:
  // A GPU does so at the end alone.
  static constexpr bool learns_of_failures = requires(M & machine) {
    machine.missing_slopes(index_t{});
  };

  bool will_probe() const { return Slopes::may_probe && machine_.probes(); }

  // Of directions without a slope, as many further ones; where they fail too, again.
  bool pose_replacements() {
    if constexpr (Slopes::replaces && learns_of_failures) {
      const failure_policy failures = slopes_.failures();
      if (failures != on_failure::replace || machine_.drops_the_rest()) return false;
      const index_t left = failures.options().replacements * slopes_.count() - replaced_;
      const index_t count = std::min({machine_.missing_slopes(slopes_.count()), left, group_});
      if (count <= 0 || !machine_.take_spare(count * Slopes::sides)) return false;
      slopes_.pose(machine_, slopes_.count() + replaced_, count, false);
      replaced_ += count;
      here_ = count;
      posed_ = true;
      return true;
    }
    return false;
  }

  void take() {
    posed_ = false;
    const bool base_only = prepares_ && first_ == 0 && !prepared_;
    if (needs_base_ && first_ == 0 && machine_.base_missing()) {
      complete_ = false;
      return;
    }
    if (base_only) {
      prepared_ = true;
      return;
    }
    slopes_.take(machine_, first_, here_);
    first_ += here_;
    if (machine_.stopped()) complete_ = false;
    if (machine_.drops_the_rest()) first_ = slopes_.count();
  }

  M& machine_;
  Slopes slopes_;
  index_t first_ = 0, here_ = 0, group_ = 1;
  index_t replaced_ = 0;  // further directions that were posed
  bool posed_ = false;
  bool complete_ = true;    // every question so far was worth asking
  bool needs_base_ = true;  // f(x) is a part of every slope
  bool prepares_ = false;   // probes are asked
  bool prepared_ = false;
};

// An estimator on a machine, its type forgotten.
template <class M>
class running_estimator {
 public:
  using T = typename M::value_type;
  running_estimator() = default;
  running_estimator(const running_estimator&) = delete;
  running_estimator& operator=(const running_estimator&) = delete;
  virtual ~running_estimator() = default;

  virtual void begin(const row_problem<T>& problem, const estimate_options& options) = 0;
  virtual bool pose() = 0;
  virtual void end() = 0;
  virtual bool value_is_exact() const = 0;
  virtual index_t extra_queries() const = 0;
  virtual index_t queries(index_t dimension, std::uint64_t step) const = 0;
  virtual failure_policy failures() const = 0;
  virtual std::shared_ptr<const smoothing_choice> automatic() = 0;
  virtual bool searches() const = 0;
  virtual std::vector<std::span<T>> state() = 0;
  virtual void describe(fingerprint& print) const = 0;
};

template <class How>
failure_policy failures_of(const How& how) {
  if constexpr (requires { how.options().failures; })
    return how.options().failures;
  else if constexpr (requires { how.failures(); })
    return how.failures();
  return on_failure::stop;
}

// At one step, where steps differ in price.
template <class How>
index_t queries_of(const How& how, index_t dimension, std::uint64_t step) {
  if constexpr (requires { how.queries(dimension, step); })
    return how.queries(dimension, step);
  else
    return how.queries(dimension);
}

template <class Run>
std::shared_ptr<const smoothing_choice> automatic_of([[maybe_unused]] Run& run) {
  if constexpr (requires { run.automatic(); }) return run.automatic();
  return {};
}
template <class Run>
bool searches([[maybe_unused]] const Run& run) {
  if constexpr (requires { run.searches(); }) return run.searches();
  return false;
}

template <class M, class How>
class running final : public running_estimator<M> {
 public:
  using T = typename M::value_type;
  running(M& machine, How how) : how_(std::move(how)), run_(how_.start(machine)) {}

  void begin(const row_problem<T>& problem, const estimate_options& options) override {
    run_.begin(problem, options);
  }
  bool pose() override { return run_.pose(); }
  void end() override { run_.end(); }
  bool value_is_exact() const override {
    if constexpr (requires { run_.value_is_exact(); }) return run_.value_is_exact();
    return false;
  }
  index_t extra_queries() const override {
    if constexpr (requires { run_.extra_queries(); }) return run_.extra_queries();
    return 0;
  }
  index_t queries(index_t dimension, std::uint64_t step) const override {
    return queries_of(how_, dimension, step) + extra_queries();
  }
  failure_policy failures() const override { return failures_of(how_); }
  std::shared_ptr<const smoothing_choice> automatic() override { return automatic_of(run_); }
  bool searches() const override { return detail::searches(run_); }
  std::vector<std::span<T>> state() override {
    if constexpr (requires { run_.state(); }) return run_.state();
    return {};
  }
  void describe(fingerprint& print) const override { detail::describe(how_, print); }

 private:
  How how_;
  decltype(std::declval<const How&>().start(std::declval<M&>())) run_;
};

// Makes one estimate.
template <class M, class Run>
void make_estimate(M& machine, Run& run, const row_problem<typename M::value_type>& problem,
                   const estimate_options& options) {
  machine.begin(options);
  run.begin(problem, options);
  while (run.pose()) machine.ask();
  run.end();
}

}  // namespace detail
}  // namespace zo
