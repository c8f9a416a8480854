// Whole runs: estimate, step, count queries, stop for a stated reason.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/optimizer.hpp"
#include "zo/team.hpp"

namespace zo {

/// Why a run ended. All are expected ends, none is an error of the program. After the last three, x
/// is the last good point: where f(x) is a number, as far as it was asked.
enum class status {
  target_reached,    ///< f(x) <= target at the final x
  budget_spent,      ///< the next estimate would exceed max_queries
  steps_done,        ///< max_steps steps were made
  callback_stopped,  ///< on_step asked to stop
  query_failed,      ///< an estimate or f(x) failed (on_failure)
  smoothing_lost,    ///< x has grown too large for the estimator's smoothing (flaw)
  out_of_range,      ///< the estimate, x or the optimizer's state left the finite numbers
};

inline constexpr std::string_view to_string(status why) {
  switch (why) {
    case status::target_reached:
      return "target reached";
    case status::budget_spent:
      return "query budget spent";
    case status::steps_done:
      return "steps done";
    case status::callback_stopped:
      return "stopped by the callback";
    case status::query_failed:
      return "a query failed";
    case status::smoothing_lost:
      return "the smoothing is lost in the rounding of x";
    case status::out_of_range:
      return "a number is beyond the scalar type";
  }
  return "unknown";
}

/// What a callback sees after each step.
struct step_report {
  std::uint64_t step = 0;  ///< number of the step just made
  index_t queries = 0;     ///< made so far
  double value = 0;        ///< of the estimate before the step: see estimate_result::value
};

enum class verdict { go_on, stop };

struct minimize_options {
  index_t max_queries = 0;         ///< must be set, at least 1; never exceeded
  std::optional<double> target{};  ///< stop when f(x) is at or below
  std::optional<std::uint64_t> max_steps{};
  std::uint64_t seed = 0;
  std::uint64_t first_step = 0;             ///< continue a run: steps made before
  index_t chunk_bytes = index_t{64} << 20;  ///< see estimate_options
  std::function<verdict(const step_report&)> on_step{};
};

struct minimize_result {
  status why = status::budget_spent;
  double value = 0;     ///< f at the final x; NaN if no query was left for it or it failed (drop)
  index_t queries = 0;  ///< really made, the one for `value` included
  index_t failed = 0;   ///< failed ones among them
  std::uint64_t steps = 0;  ///< made in this call, without one that was undone
};

namespace detail {

inline status status_of(flaw why) {
  return why == flaw::query_failed     ? status::query_failed
         : why == flaw::smoothing_lost ? status::smoothing_lost
                                       : status::out_of_range;
}

// What an estimator can say of its options before anything is asked.
template <class T, class How>
void check_estimator(const How& how) {
  if constexpr (requires { how.options().coordinates; }) {
    check_smoothing<T>(how.options().smoothing);
  } else if constexpr (requires { how.options().smoothing; }) {
    checked_step<T>(how.options().smoothing);
  }
}

// What a machine must do for a run: estimate at x, step x and back again, ask f(x).
template <class T, class Policy, class F, class How, class Updater>
class host_machine {
 public:
  using value_type = T;
  static constexpr bool coordinate_only = coordinate_objective<F, T> && !point_objective<F, T>;
  static constexpr bool probes = coordinate_objective<F, T>;

  host_machine(const Policy& policy, F& f, std::span<T> x, const How& how, Updater& updater)
      : policy_(policy),
        f_(f),
        x_(x),
        how_(how),
        updater_(updater),
        gradient_(x.size()),
        last_(x.size()) {}

  index_t dimension() const { return static_cast<index_t>(x_.size()); }
  bool drops() const { return how_.options().failures == on_failure::drop; }

  estimate_result estimate(const estimate_options& place) {
    return zo::estimate(policy_, f_, x_, gradient_, how_, place, memory_);
  }
  // Whether the estimate that threw has asked f(x).
  bool base_answered() {
    const std::vector<double>& base = memory_.buffers().base;
    return !base.empty() && is_finite(base[0]);
  }

  // False if x or the updater's state is not finite any more.
  bool step() {
    std::ranges::copy(x_, last_.begin());
    const std::span<const T> gradient(gradient_);
    if constexpr (requires {
                    { updater_.step(policy_, x_, gradient) } -> std::same_as<bool>;
                  }) {
      return updater_.step(policy_, x_, gradient);
    } else {
      updater_.step(policy_, x_, gradient);
      return all_finite(dimension(), x_.data());
    }
  }
  static bool finite() { return true; }
  void step_back() { std::ranges::copy(last_, x_.begin()); }

  team* others() const {
    if constexpr (team_policy<Policy>) return &policy_.team();
    return nullptr;
  }
  std::uint64_t point() const { return fingerprint().add(std::span<const T>(x_)).value(); }

  // f(x), NaN where it failed, and its price.
  estimate_result value(const estimate_options& place) {
    estimate_result result{failed_query, 1, 0, true};
    if constexpr (coordinate_only) {
      result.value =
          prepared_value(policy_, f_, std::span<const T>(x_), place, how_.options().failures);
      result.failed = is_nan(result.value) ? 1 : 0;
    } else {
      asker<T, F, Policy> ask(policy_, f_, dimension(), place, how_.options().failures, memory_);
      ask.ask_rows(x_.data(), {&result.value, 1});
      result.queries = ask.queries;
      result.failed = ask.failed;
    }
    return result;
  }

 private:
  const Policy& policy_;
  F& f_;
  std::span<T> x_;
  const How& how_;
  Updater& updater_;
  std::vector<T> gradient_;
  std::vector<T> last_;  // x before the last step
  workspace<T> memory_;
};

// Budgets, targets and ends of a run, whatever machine it is made on.
template <class Machine, class How>
class minimize_run {
 public:
  minimize_run(Machine& machine, const How& how, const minimize_options& options)
      : machine_(machine),
        options_(options),
        cost_(queries_of(how, machine.dimension()) + (prepares_apart ? 1 : 0) +
              (options.target && !value_is_exact ? 1 : 0)) {
    require(options.max_queries >= 1, "zo::minimize: max_queries must be at least 1, got ",
            options.max_queries,
            "; every run says what it may cost, also one with max_steps or a target");
    require(!options.target || !is_nan(*options.target),
            "zo::minimize: target must be a number, got NaN");
    check_options("zo::minimize", place());
  }

  minimize_result operator()() {
    if (team* const others = machine_.others()) agree(*others);
    while (step()) {
    }
    if (!x_is_good_ && !machine_.finite()) go_back(status::out_of_range);
    if (!value_known_) guarded([&] { ask_value(); });
    // Where a run goes on in spite of failures, its end may be one.
    const bool at_fault = result_.why == status::query_failed || !machine_.drops();
    if (!x_is_good_ && at_fault && value_known_ && is_nan(result_.value)) {
      go_back(status::query_failed);
      if (!value_known_) ask_value();
    }
    const bool planned = result_.why == status::budget_spent || result_.why == status::steps_done;
    if (planned && options_.target && result_.value <= *options_.target)
      end(status::target_reached);
    return result_;
  }

 private:
  using scheme = typename How::scheme_type;
  static constexpr bool prepares_apart = Machine::probes && !scheme::uses_base && !requires {
    typename How::distribution_type;
  };
  static constexpr bool value_is_exact = scheme::uses_base || prepares_apart;

  static index_t queries_of(const How& how, index_t dimension) {
    check_estimator<typename Machine::value_type>(how);
    return how.queries(dimension);
  }

  bool end(status why) {
    result_.why = why;
    return false;
  }

  estimate_options place() const {
    estimate_options now{options_.seed, options_.first_step + result_.steps};
    now.chunk_bytes = options_.chunk_bytes;
    return now;
  }

  // One query is always kept for the value of the final point.
  bool step() {
    if (options_.max_steps && result_.steps >= *options_.max_steps) return end(status::steps_done);
    if (options_.max_queries - result_.queries <= cost_) return end(status::budget_spent);
    const estimate_options now = place();
    estimate_result estimated;
    guarded([&] { estimated = machine_.estimate(now); },
            [](Machine& machine) { return value_is_exact && machine.base_answered(); });
    count(estimated);
    if (estimated.why == flaw::out_of_range && !x_is_good_) return go_back(status::out_of_range);
    x_is_good_ = x_is_good_ || (value_is_exact ? is_finite(estimated.value) : estimated.ok);
    if (!estimated.ok) {
      if (value_is_exact && estimated.queries > 0) know_value(estimated.value);
      return end(status_of(estimated.why));
    }
    if (reaches_target(estimated.value)) return end(status::target_reached);
    last_value_ = value_is_exact ? estimated.value : failed_query;
    value_known_ = false;
    x_is_good_ = false;
    ++result_.steps;
    bool finite = false;
    guarded([&] { finite = machine_.step(); });
    if (!finite) return go_back(status::out_of_range);
    if (options_.on_step && stopped({now.step, result_.queries, estimated.value})) {
      return end(status::callback_stopped);
    }
    return true;
  }

  // To the point before the last step.
  bool go_back(status why) {
    machine_.step_back();
    --result_.steps;
    x_is_good_ = true;
    value_known_ = false;
    if (value_is_exact) know_value(last_value_);
    return end(why);
  }

  // An exception leaves x at the last good point.
  template <class Call>
  void guarded(
      const Call& call, bool (*is_good)(Machine&) = [](Machine&) { return false; }) {
    try {
      call();
    } catch (...) {
      if (!x_is_good_ && !is_good(machine_)) machine_.step_back();
      throw;
    }
  }

  // Processes that share the run must also share its options.
  void agree(team& others) const {
    fingerprint print;
    print.add(machine_.dimension()).add(options_.max_queries).add(options_.seed);
    print.add(options_.target.has_value()).add(options_.target.value_or(0));
    print.add(options_.max_steps.has_value()).add(options_.max_steps.value_or(0));
    print.add(static_cast<bool>(options_.on_step));
    others.agree({options_.first_step, print.value(), [this] { return machine_.point(); }});
  }

  // Whether the callback asks to stop: that of any process.
  bool stopped(const step_report& report) {
    team* const others = machine_.others();
    if (others == nullptr) return options_.on_step(report) == verdict::stop;
    std::vector<double> stops(static_cast<std::size_t>(others->ranks()));
    const std::exception_ptr thrown = caught([&] {
      const bool stop = options_.on_step(report) == verdict::stop;
      stops[static_cast<std::size_t>(others->rank())] = stop ? 1 : 0;
    });
    others->exchange(stops, even_shares(others->ranks(), others->ranks()), thrown);
    return std::ranges::any_of(stops, [](double stop) { return stop > 0; });
  }

  void count(const estimate_result& asked) {
    result_.queries += asked.queries;
    result_.failed += asked.failed;
  }

  // Forward differences have asked f(x) anyway; central ones ask it for the target's sake.
  bool reaches_target(double estimated) {
    if (!options_.target) return false;
    value_is_exact ? know_value(estimated) : guarded([&] { ask_value(); });
    return result_.value <= *options_.target;
  }

  void ask_value() {
    result_.value = failed_query;
    if (result_.queries >= options_.max_queries) return;
    const estimate_result asked = machine_.value(place());
    count(asked);
    know_value(asked.value);
  }

  void know_value(double value) {
    result_.value = value;
    value_known_ = true;
  }

  Machine& machine_;
  const minimize_options& options_;
  index_t cost_;
  minimize_result result_;
  bool value_known_ = false;
  bool x_is_good_ = true;             // f(x) is a number, or nobody knows better
  double last_value_ = failed_query;  // f(x) before the last step
};

}  // namespace detail

/// Minimizes `f` from `x` in place: estimates of kind `how`, steps of `optimizer` (zo::sgd,
/// zo::adam, …, or an updater that is kept between calls).
///
/// An estimate that max_queries cannot pay, with one query more for the final value, is not begun.
/// A target is compared with f(x) itself: forward differences know it, central ones ask it, one
/// query more a step. Memory: gradient, x before the last step, optimizer state and the
/// estimator's. A step to an x where f fails, or that is not finite, is undone; a kept updater has
/// made it. Throws std::invalid_argument for bad options and what `f` throws (on_failure::stop),
/// with x at the last good point. The whole run is the same bits for every policy, thread count,
/// chunk size and instruction set.
template <execution_policy Policy, class F, contiguous_vector X, class How, class Optimizer>
requires detail::writable<X> && estimator_for<How, F, scalar_of<X>> &&
    detail::optimizer_for<Optimizer, scalar_of<X>>
        minimize_result minimize(const Policy& policy, F&& f, X&& x, const How& how,
                                 Optimizer&& optimizer, const minimize_options& options) {
  using T = scalar_of<X>;
  const std::span<T> point(std::ranges::data(x), std::ranges::size(x));
  const auto dimension = static_cast<index_t>(point.size());
  detail::check_dimension("zo::minimize", dimension);
  detail::check_memory("zo::minimize", "x", point.data());
  const auto run = [&](auto& updater) {
    detail::host_machine<T, Policy, std::remove_reference_t<F>, How,
                         std::remove_reference_t<decltype(updater)>>
        machine(policy, f, point, how, updater);
    return detail::minimize_run(machine, how, options)();
  };
  if constexpr (updater_for<Optimizer, T>) {
    return run(optimizer);
  } else {
    updater<std::remove_cvref_t<Optimizer>, T> kept(optimizer, dimension);
    return run(kept);
  }
}

template <class F, contiguous_vector X, class How, class Optimizer>
requires(!execution_policy<F>) void minimize(const F&, X&&, const How&, Optimizer&&,
                                             const minimize_options&) =
    delete;  // where loops run is said first: zo::minimize(zo::seq, f, …) or zo::par

}  // namespace zo
