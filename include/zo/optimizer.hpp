// Optimizers: a rule says what a step does to x, an updater keeps its state and makes the steps.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/direction.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/line_search.hpp"
#include "zo/rounding.hpp"
#include "zo/rule/list.hpp"
#include "zo/rule/numbers.hpp"

namespace zo {

namespace detail {

// Whether a class has a member of a name, also one that is a template: a second one beside it makes
// the name ambiguous. So that a member of a wrong form is an error, and not left out in silence.
struct named_prox {
  int prox;
};
struct named_check {
  int check;
};
template <class R, class Named>
struct beside : R, Named {};
template <class R>
concept has_prox = !requires {
  &beside<R, named_prox>::prox;
};
template <class R>
concept has_check = !requires {
  &beside<R, named_check>::check;
};

template <class R>
concept like_a_rule = requires(const R& rule) {
  rule.state_vectors();
};

template <class R, class T>
void check_rule(const R& rule, index_t dimension) {
  if constexpr (has_check<R>) rule.template check<T>(dimension);
}

inline void check_steps(std::uint64_t steps) {
  require(steps < std::uint64_t{1} << 56, "zo::updater: steps must be below 2^56, got ", steps);
}

// Runs body(begin, end) over 0 … count-1 in ranges that do not depend on the policy.
template <class Body>
void for_chunks(const execution_policy auto& policy, index_t count, const Body& body) {
  constexpr index_t chunk = index_t{1} << 14;
  parallel_for(policy, (count + chunk - 1) / chunk, [&](index_t item, int) {
    body(item * chunk, std::min(item * chunk + chunk, count));
  });
}

}  // namespace detail

/// What a step does to x, for numbers T. A rule is a value without state of its own:
///
///   int state_vectors() const;        // vectors of d numbers that are kept for it, zero at first
///   template <class T>                // the step number `step`, counted from 0
///   element<T> at(std::uint64_t step, T* x, T* const* state) const;
///
/// where element<T> is called as bool operator()(index_t i, T g) const for every coordinate i, in
/// any order and from several threads: it moves x[i] and the state of i against the gradient g, and
/// says false where that leaves a number that is not finite (what a GPU knows of it; on the CPU x
/// and state are looked at). It may be that of zo::sgd or another; an own loop runs in the program
/// that includes it, whose flags decide how it rounds. On a GPU the element is copied byte by byte,
/// its operator() is ZO_HD, and x and state are device memory, which at() must not touch.
///
/// Optional: template <class T> void check(index_t d) const, which throws what is wrong with its
/// options; double rate(std::uint64_t step) const, for zo::proximal; and how a step ends, seeing
/// all of x: void prox(policy, std::span<T> x, std::uint64_t step) const, on a GPU with
/// zo::cuda::policy and zo::cuda::span (for_coordinates makes one loop for both).
template <class R, class T>
concept optimizer_rule =
    detail::rule(std::is_class_v<R> && !std::is_final_v<R> && detail::like_a_rule<R>,
                 "zo::optimizer_rule: a rule is a class, not final, that says how many vectors of "
                 "state it needs: int state_vectors() const") &&
    detail::rule(
        requires(const R& rule, T* x, T* const* state) { rule.at(std::uint64_t{}, x, state); },
        "zo::optimizer_rule: a rule makes its element of T by at(std::uint64_t step, T* x, "
        "T* const* state) const") &&
    detail::rule(
        requires(const R& rule, T* x, T* const* state) {
          { rule.at(std::uint64_t{}, x, state)(index_t{}, T{}) } -> std::same_as<bool>;
        },
        "zo::optimizer_rule: the element of a rule is called as bool operator()(zo::index_t i, T "
        "g) "
        "const") &&
    detail::rule(
        !detail::has_check<R> || requires(const R& rule) { rule.template check<T>(index_t{}); },
        "zo::optimizer_rule: check is called as check<T>(zo::index_t d) const") &&
    detail::rule(
        !detail::has_prox<R> ||
            requires(const R& rule, std::span<T> x) {
              rule.prox(sequential_policy{}, x, std::uint64_t{});
            },
        "zo::optimizer_rule: prox is called as prox(policy, std::span<T> x, std::uint64_t step) "
        "const");

/// What keeps the state of an optimizer and moves x: zo::updater, or a class of one's own, which
/// must be deterministic. step() may return false where it left the finite numbers.
template <class U, class T>
concept updater_for = detail::rule(
    requires(U& updater, std::span<T> x, std::span<const T> gradient) {
      updater.step(sequential_policy{}, x, gradient);
    },
    "zo::updater_for: an updater moves x by step(policy, std::span<T> x, std::span<const T> "
    "gradient)");

namespace detail {

template <class Optimizer, class T>
concept optimizer_for = rule(
    updater_for<Optimizer, T> || like_a_rule<std::remove_cvref_t<Optimizer>> ||
        searching<Optimizer, T>,
    "zo: an optimizer is wanted here, such as zo::adam({.rate = 0.01}), a zo::optimizer_rule or a "
    "zo::updater_for of your own");

}  // namespace detail

/// Runs body(i) for every i < count, in any order and from the threads of the policy: what the end
/// of a step, prox(), is made of. zo::cuda::for_coordinates is the same on a GPU, so that one call
/// without the namespace serves both.
template <detail::ending_element Body>
void for_coordinates(const execution_policy auto& policy, index_t count, const Body& body) {
  detail::for_chunks(policy, count, [&](index_t begin, index_t end) {
    detail::walk(body, begin, end, static_cast<const float*>(nullptr));
  });
}

/// The running state of an optimizer over d coordinates: the vectors of d of its rule, and the step
/// count.
template <class Rule, scalar T>
class updater {
  static_assert(optimizer_rule<Rule, T>);

 public:
  updater(Rule rule, index_t dimension) : rule_(std::move(rule)), dimension_(dimension) {
    detail::check_dimension("zo::updater", dimension);
    detail::check_rule<Rule, T>(rule_, dimension);
    for (int k = 0; k < rule_.state_vectors(); ++k) {
      state_.emplace_back(static_cast<std::size_t>(dimension));
    }
  }

  /// Moves x by one step against `gradient` (both d numbers). The same bits for every policy. False
  /// if that left a number of x or of the state that is not finite: no step from there means
  /// anything.
  template <execution_policy Policy>
  bool step(const Policy& policy, std::span<T> x, std::span<const T> gradient) {
    detail::require(static_cast<index_t>(x.size()) == dimension_ && gradient.size() == x.size(),
                    "zo::updater: x and gradient must have ", dimension_, " coordinates, got ",
                    x.size(), " and ", gradient.size());
    places_.clear();
    for (std::vector<T>& one : state_) places_.push_back(one.data());
    const auto element = rule_.at(steps_, x.data(), static_cast<T* const*>(places_.data()));
    std::atomic<bool> finite{true};
    const auto look = [&](const T* values, index_t begin, index_t end) {
      if (!detail::all_finite(end - begin, values + begin)) finite = false;
    };
    detail::for_chunks(policy, dimension_, [&](index_t begin, index_t end) {
      detail::walk(element, begin, end, gradient.data());
      look(x.data(), begin, end);
      for (const T* const one : places_) look(one, begin, end);
    });
    if constexpr (detail::has_prox<Rule>) {
      rule_.prox(policy, x, steps_);
      detail::for_chunks(policy, dimension_,
                         [&](index_t begin, index_t end) { look(x.data(), begin, end); });
    }
    ++steps_;
    return finite;
  }

  /// Steps done, and the state vectors: all a checkpoint needs.
  std::uint64_t steps() const { return steps_; }
  std::vector<std::span<T>> state() { return {state_.begin(), state_.end()}; }
  /// Continues from `steps` steps done; the state vectors are written through state().
  void resume_at(std::uint64_t steps) {
    detail::check_steps(steps);
    steps_ = steps;
  }

 private:
  Rule rule_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  std::vector<std::vector<T>> state_;
  std::vector<T*> places_;  // of the state, kept so that a step allocates nothing
};

}  // namespace zo
