// Whole runs: estimate, step, count queries, stop for a stated reason.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/estimate.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/optimizer.hpp"
#include "zo/team.hpp"

namespace zo {

/// Why a run ended. All are expected ends, none is an error of the program.
enum class status {
  target_reached,    ///< f(x) <= target at the final x
  budget_spent,      ///< the next estimate would exceed max_queries
  steps_done,        ///< max_steps steps were made
  callback_stopped,  ///< on_step asked to stop
  query_failed,      ///< an estimate failed (on_failure); x is the last good point
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
  }
  return "unknown";
}

/// What a callback sees after each step.
struct step_report {
  std::uint64_t step = 0;  ///< number of the step just made
  index queries = 0;       ///< made so far
  double value = 0;        ///< of the estimate before the step: see estimate_result::value
};

enum class verdict { go_on, stop };

struct minimize_options {
  index max_queries = 0;           ///< must be set, at least 1; never exceeded
  std::optional<double> target{};  ///< stop when f(x) is at or below
  std::optional<std::uint64_t> max_steps{};
  std::uint64_t seed = 0;
  std::uint64_t first_step = 0;         ///< continue a run: steps made before
  index chunk_bytes = index{64} << 20;  ///< see estimate_options
  std::function<verdict(const step_report&)> on_step{};
};

struct minimize_result {
  status why = status::budget_spent;
  double value = 0;         ///< f at the final x; NaN if no query was left for it or it failed
  index queries = 0;        ///< really made, the one for `value` included
  index failed = 0;         ///< failed ones among them
  std::uint64_t steps = 0;  ///< made in this call
};

namespace detail {

template <class U, class T>
concept running_updater = requires(U& u, std::span<T> x, std::span<const T> gradient) {
  u.step(sequential_policy{}, x, gradient);
};

template <class Optimizer, class T>
concept optimizer_for = rule(
    running_updater<Optimizer, T> ||
        requires(const std::remove_cvref_t<Optimizer>& optimizer) {
          optimizer.template start<T>(index{});
        },
    "zo: an optimizer is wanted here, such as zo::adam({.rate = 0.01}), or an updater of one");

// What a machine must do for a run: estimate at x, step x, ask f(x).
template <class T, class Policy, class F, class How, class Updater>
class host_machine {
 public:
  static constexpr bool coordinate_only = coordinate_objective<F, T> && !point_objective<F, T>;
  static constexpr bool probes = coordinate_objective<F, T>;

  host_machine(const Policy& policy, F& f, std::span<T> x, const How& how, Updater& updater)
      : policy_(policy), f_(f), x_(x), how_(how), updater_(updater), gradient_(x.size()) {}

  index dimension() const { return static_cast<index>(x_.size()); }

  estimate_result estimate(const estimate_options& place) {
    return zo::estimate(policy_, f_, x_, gradient_, how_, place, memory_);
  }

  void step() { updater_.step(policy_, x_, std::span<const T>(gradient_)); }

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
  workspace<T> memory_;
};

// Budgets, targets and ends of a run, whatever machine it is made on.
template <class Machine, class How>
class minimize_run {
 public:
  minimize_run(Machine& machine, const How& how, const minimize_options& options)
      : machine_(machine),
        options_(options),
        cost_(how.queries(machine.dimension()) + (prepares_apart ? 1 : 0) +
              (options.target && !value_is_exact ? 1 : 0)) {
    require(options.max_queries >= 1, "zo::minimize: max_queries must be at least 1, got ",
            options.max_queries,
            "; every run says what it may cost, also one with max_steps or a target");
    require(!options.target || !is_nan(*options.target),
            "zo::minimize: target must be a number, got NaN");
  }

  minimize_result operator()() {
    if (team* const others = machine_.others()) agree(*others);
    while (step()) {
    }
    if (!value_known_) ask_value();
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
    if (result_.queries + cost_ + 1 > options_.max_queries) return end(status::budget_spent);
    const estimate_options now = place();
    const estimate_result estimated = machine_.estimate(now);
    count(estimated);
    if (!estimated.ok) return end(status::query_failed);
    if (reaches_target(estimated.value)) return end(status::target_reached);
    value_known_ = false;
    machine_.step();
    ++result_.steps;
    if (options_.on_step && stopped({now.step, result_.queries, estimated.value})) {
      return end(status::callback_stopped);
    }
    return true;
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
    if (value_is_exact) {
      result_.value = estimated;
      value_known_ = true;
    } else {
      ask_value();
    }
    return result_.value <= *options_.target;
  }

  void ask_value() {
    result_.value = failed_query;
    if (result_.queries >= options_.max_queries) return;
    const estimate_result asked = machine_.value(place());
    count(asked);
    result_.value = asked.value;
    value_known_ = true;
  }

  Machine& machine_;
  const minimize_options& options_;
  index cost_;
  minimize_result result_;
  bool value_known_ = false;
};

}  // namespace detail

/// Minimizes `f` from `x` in place: estimates of kind `how`, steps of `optimizer` (zo::sgd,
/// zo::adam, …, or an updater that is kept between calls).
///
/// An estimate that max_queries cannot pay, with one query more for the final value, is not begun.
/// A target is compared with f(x) itself: forward differences know it, central ones ask it, one
/// query more a step. Memory: gradient, optimizer state and the estimator's. Throws
/// std::invalid_argument for bad options and what `f` throws (on_failure::stop), with x at the last
/// good point. The whole run is the same bits for every policy, thread count, chunk size and
/// instruction set.
template <execution_policy Policy, class F, contiguous_vector X, class How, class Optimizer>
requires detail::writable<X> && estimator_for<How, F, scalar_of<X>> &&
    detail::optimizer_for<Optimizer, scalar_of<X>>
        minimize_result minimize(const Policy& policy, F&& f, X&& x, const How& how,
                                 Optimizer&& optimizer, const minimize_options& options) {
  using T = scalar_of<X>;
  const std::span<T> point(std::ranges::data(x), std::ranges::size(x));
  const auto dimension = static_cast<index>(point.size());
  detail::check_dimension("zo::minimize", dimension);
  detail::check_memory("zo::minimize", "x", point.data());
  const auto run = [&](auto& updater) {
    detail::host_machine<T, Policy, std::remove_reference_t<F>, How,
                         std::remove_reference_t<decltype(updater)>>
        machine(policy, f, point, how, updater);
    return detail::minimize_run(machine, how, options)();
  };
  if constexpr (detail::running_updater<Optimizer, T>) {
    return run(optimizer);
  } else {
    auto updater = optimizer.template start<T>(dimension);
    return run(updater);
  }
}

template <class F, contiguous_vector X, class How, class Optimizer>
requires(!execution_policy<F>) void minimize(const F&, X&&, const How&, Optimizer&&,
                                             const minimize_options&) =
    delete;  // where loops run is said first: zo::minimize(zo::seq, f, …) or zo::par

}  // namespace zo
