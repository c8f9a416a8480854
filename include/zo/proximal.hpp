// Constraints and penalties: steps that end with a projection onto a set, or with the proximal map
// of what is added to f.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "zo/config.hpp"
#include "zo/optimizer.hpp"
#include "zo/rule/ball.hpp"      // IWYU pragma: export
#include "zo/rule/box.hpp"       // IWYU pragma: export
#include "zo/rule/group_l2.hpp"  // IWYU pragma: export
#include "zo/rule/l1.hpp"        // IWYU pragma: export
#include "zo/rule/l1_ball.hpp"   // IWYU pragma: export
#include "zo/rule/simplex.hpp"   // IWYU pragma: export
#include "zo/rule/sparse.hpp"    // IWYU pragma: export

namespace zo {

/// What zo::projected projects onto: s.project(policy, x) moves x to the nearest point of the set,
/// x a std::span, or on a GPU a zo::cuda::span. Optional: check<T>(index_t d).
template <class S, class Policy, class X>
concept set_for = detail::rule(
    requires(const S& set, const Policy& policy, X x) { set.project(policy, x); },
    "zo::set_for: a set moves x into it by project(policy, x) const, x a std::span, or on a GPU a "
    "zo::cuda::span; zo::ball and zo::simplex do so on the CPU alone");

/// What zo::proximal adds to f: g.prox(policy, x, rate) moves x to the y that makes
/// rate g(y) + |y - x|^2 / 2 smallest, x as for zo::set_for.
template <class G, class Policy, class X>
concept penalty_for = detail::rule(
    requires(const G& penalty, const Policy& policy, X x) { penalty.prox(policy, x, double{}); },
    "zo::penalty_for: a penalty moves x by prox(policy, x, double rate) const, x a std::span, or "
    "on "
    "a GPU a zo::cuda::span");

/// A rule that says how long its steps are.
template <class R>
concept rated_rule = detail::rule(
    requires(const R& rule) {
      { rule.rate(std::uint64_t{}) } -> std::convertible_to<double>;
    },
    "zo::rated_rule: zo::proximal needs the rate of a step from its rule: "
    "double rate(std::uint64_t step) const");

namespace detail {

template <class Set>
struct projection {
  Set set;

  template <class T>
  void check(index_t dimension) const {
    check_rule<Set, T>(set, dimension);
  }
  template <class Policy, class X>
  void operator()(const Policy& policy, X x, const auto& /*rule*/, std::uint64_t) const {
    static_assert(set_for<Set, Policy, X>);
    set.project(policy, x);
  }
};

template <class Penalty>
struct proximal_map {
  Penalty penalty;

  template <class T>
  void check(index_t dimension) const {
    check_rule<Penalty, T>(penalty, dimension);
  }
  template <class Policy, class X>
  void operator()(const Policy& policy, X x, const auto& rule, std::uint64_t step) const {
    static_assert(penalty_for<Penalty, Policy, X>);
    penalty.prox(policy, x, rule.rate(step));
  }
};

}  // namespace detail

/// A rule with an end to its steps: what zo::projected and zo::proximal make.
template <class Rule, class End>
class ended_rule {
 public:
  ended_rule(Rule rule, End end) : rule_(std::move(rule)), end_(std::move(end)) {}

  template <scalar T>
  updater<ended_rule, T> start(index_t dimension) const {
    return {*this, dimension};
  }

  template <class T>
  void check(index_t dimension) const {
    detail::check_rule<Rule, T>(rule_, dimension);
    end_.template check<T>(dimension);
  }
  int state_vectors() const { return rule_.state_vectors(); }
  double rate(std::uint64_t step) const requires rated_rule<Rule> { return rule_.rate(step); }
  template <class T>
  auto at(std::uint64_t step, T* x, T* const* state) const
      -> decltype(std::declval<const Rule&>().at(step, x, state)) {
    return rule_.at(step, x, state);
  }
  template <class Policy, class X>
  void prox(const Policy& policy, X x, std::uint64_t step) const {
    if constexpr (detail::has_prox<Rule>) rule_.prox(policy, x, step);
    end_(policy, x, rule_, step);
  }

 private:
  Rule rule_;
  End end_;
};

/// Steps of `rule` that end in `set`: zo::projected(zo::sgd(), zo::box(0, 1)). Sets: zo::box,
/// zo::ball, zo::simplex, zo::l1_ball, zo::sparse or a class of your own (set_for). x is in the set
/// after every step; the points at which an estimate asks f need not be (zo::inside). Rules that
/// scale the gradient coordinate by coordinate (zo::adam, zo::sign_sgd) find the minimum in a box;
/// in other sets they come to rest elsewhere: take zo::sgd.
template <class Rule, class Set>
ended_rule<Rule, detail::projection<Set>> projected(Rule rule, Set set) {
  return {std::move(rule), {std::move(set)}};
}

/// Steps of `rule` that end with the proximal map of `penalty`, at the rate of the step: with
/// zo::sgd they minimize f + penalty, where f alone is asked. (Rules that scale the gradient weigh
/// the penalty against the scaled one.) Penalties: zo::l1, zo::group_l2 or a class of your own
/// (penalty_for).
/// Source: Parikh and Boyd, "Proximal algorithms", 2014.
template <rated_rule Rule, class Penalty>
ended_rule<Rule, detail::proximal_map<Penalty>> proximal(Rule rule, Penalty penalty) {
  return {std::move(rule), {std::move(penalty)}};
}

}  // namespace zo
