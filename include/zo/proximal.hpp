// Constraints and penalties: steps that end with a projection onto a set, or with the proximal map
// of what is added to f.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/optimizer.hpp"

namespace zo {

namespace detail {

// Compiled in src/projection.cpp.
template <class T>
void project_on_ball(int threads, std::span<T> x, double radius);
template <class T>
void project_on_simplex(int threads, std::span<T> x, double radius);
template <class T>
void project_on_l1_ball(int threads, std::span<T> x, double radius);
template <class T>
void keep_largest(std::span<T> x, index_t count);

inline void check_radius(const char* who, double radius) {
  require(radius > 0 && is_finite(radius), who, ": radius must be a number above 0, got ", radius);
}

}  // namespace detail

/// The x of Euclidean length at most `radius`, for zo::projected. On the CPU.
class ball {
 public:
  explicit ball(double radius) : radius_(radius) { detail::check_radius("zo::ball", radius); }

  template <scalar T>
  void project(const execution_policy auto& policy, std::span<T> x) const {
    detail::project_on_ball(detail::threads_of(policy), x, radius_);
  }
  double radius() const { return radius_; }

 private:
  double radius_;
};

/// The x whose numbers are at least 0 and add up to `radius`, for zo::projected. On the CPU.
class simplex {
 public:
  explicit simplex(double radius = 1) : radius_(radius) {
    detail::check_radius("zo::simplex", radius);
  }

  template <scalar T>
  void project(const execution_policy auto& policy, std::span<T> x) const {
    detail::project_on_simplex(detail::threads_of(policy), x, radius_);
  }
  double radius() const { return radius_; }

 private:
  double radius_;
};

/// The x whose magnitudes add up to at most `radius`, for zo::projected. On the CPU. Source: Duchi
/// et al., ICML 2008.
class l1_ball {
 public:
  explicit l1_ball(double radius) : radius_(radius) { detail::check_radius("zo::l1_ball", radius); }

  template <scalar T>
  void project(const execution_policy auto& policy, std::span<T> x) const {
    detail::project_on_l1_ball(detail::threads_of(policy), x, radius_);
  }
  double radius() const { return radius_; }

 private:
  double radius_;
};

/// The x of which at most `count` numbers are not zero, for zo::projected: the largest stay (of
/// equal ones the first), which is iterative hard thresholding. The set is not convex: a run finds
/// a point that is best near it. On the CPU. Source: Blumensath and Davies, ACHA 2009.
class sparse {
 public:
  explicit sparse(index_t count) : count_(count) {
    detail::require(count >= 1, "zo::sparse: at least 1 number must be left, got ", count);
  }

  template <scalar T>
  void project(const execution_policy auto& /*policy*/, std::span<T> x) const {
    detail::keep_largest(x, count_);
  }

 private:
  index_t count_;
};

/// weight * sum of the Euclidean lengths of groups, for zo::proximal: `size` numbers beside each
/// other are a group, which becomes zero as a whole. On the CPU. Source: Yuan and Lin, JRSS B 2006.
class group_l2 {
 public:
  group_l2(double weight, index_t size) : weight_(weight), size_(size) {
    detail::require(weight >= 0 && detail::is_finite(weight),
                    "zo::group_l2: weight must be a number of at least 0, got ", weight);
    detail::require(size >= 1, "zo::group_l2: a group has at least 1 number, got ", size);
  }

  template <class T>
  void check(index_t dimension) const {
    detail::require(dimension % size_ == 0, "zo::group_l2: ", dimension,
                    " coordinates are no whole groups of ", size_);
  }
  template <scalar T>
  void prox(const execution_policy auto& policy, std::span<T> x, double rate) const {
    const ball within(rate * weight_ > 0 ? rate * weight_ : 1);
    parallel_groups(policy, x, [&](std::span<T> group) {
      if (!(rate * weight_ > 0)) return;
      // Moreau: x less its projection onto the ball of the dual norm.
      std::vector<T> inner(group.begin(), group.end());
      within.project(seq, std::span<T>(inner));
      for (std::size_t i = 0; i < group.size(); ++i) group[i] -= inner[i];
    });
  }

 private:
  template <class T, class Body>
  void parallel_groups(const execution_policy auto& policy, std::span<T> x,
                       const Body& body) const {
    const auto size = static_cast<std::size_t>(size_);
    detail::parallel_ranges(policy, static_cast<index_t>(x.size()) / size_,
                            (index_t{1} << 12) / size_ + 1, [&](index_t g, index_t end) {
                              for (; g < end; ++g) {
                                body(x.subspan(static_cast<std::size_t>(g) * size, size));
                              }
                            });
  }

  double weight_;
  index_t size_;
};

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
