// Steps that need no projection: towards the point of a set where the gradient's plane is lowest.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/optimizer.hpp"
#include "zo/rule/ball.hpp"     // IWYU pragma: export
#include "zo/rule/box.hpp"      // IWYU pragma: export
#include "zo/rule/l1_ball.hpp"  // IWYU pragma: export
#include "zo/rule/simplex.hpp"  // IWYU pragma: export

namespace zo {

/// A set that zo::frank_wolfe takes: a function lean(set, x, gradient, share), found by its
/// namespace, as those of zo::box, zo::ball, zo::simplex and zo::l1_ball.
template <class S, class T>
concept leaning_set = detail::rule(
    requires(const S& set, std::span<T> x, std::span<const T> gradient) {
      lean(set, x, gradient, double{});
    },
    "zo::leaning_set: a set for zo::frank_wolfe has a function lean(set, std::span<T> x, "
    "std::span<const T> gradient, double share)");

struct frank_wolfe_options {
  /// The gradient is a running mean, of which the newest one has the share 4 / (t + 8)^(2/3): for
  /// random estimates, whose noise never leads to a corner's neighbour otherwise. Costs d numbers.
  bool average = false;
};

/// Frank and Wolfe's steps over `dimension` numbers, an updater for zo::minimize and zo::ask:
///   x += 2 / (t + 2) (s - x),   s the point of `set` where <gradient, s> is least,
/// so that x, which must begin in the set, stays in it without a projection: at corners and between
/// them. f(x) - f* falls as 1/t where f is convex, and slower, as t^(-1/3), with averages of noisy
/// gradients. On the CPU. Sources: Jaggi, ICML 2013; Mokhtari, Hassani and Karbasi, JMLR 2020.
template <class Set, scalar T = double>
class frank_wolfe {
 public:
  frank_wolfe(Set set, index_t dimension, frank_wolfe_options options = {})
      : set_(std::move(set)), dimension_(dimension) {
    static_assert(leaning_set<Set, T>);
    detail::check_dimension("zo::frank_wolfe", dimension);
    detail::check_rule<Set, T>(set_, dimension);
    if (options.average) mean_.resize(static_cast<std::size_t>(dimension));
  }

  /// Moves x against `gradient`. False where that is not finite; x is as it was then.
  bool step(const execution_policy auto& /*policy*/, std::span<T> x, std::span<const T> gradient) {
    detail::require(static_cast<index_t>(x.size()) == dimension_ && gradient.size() == x.size(),
                    "zo::frank_wolfe: x and gradient must have ", dimension_, " coordinates, got ",
                    x.size(), " and ", gradient.size());
    const auto steps = static_cast<double>(steps_);
    std::span<const T> along = gradient;
    if (!mean_.empty()) {
      const double newest = std::min(1.0, 4 / std::pow(steps + 8, 2.0 / 3));
      for (std::size_t i = 0; i < x.size(); ++i) {
        mean_[i] = static_cast<T>((1 - newest) * static_cast<double>(mean_[i]) +
                                  newest * static_cast<double>(gradient[i]));
      }
      along = mean_;
    }
    ++steps_;
    if (!detail::all_finite(static_cast<index_t>(along.size()), along.data())) return false;
    lean(set_, x, along, 2 / (steps + 2));
    return true;
  }

  std::uint64_t steps() const { return steps_; }
  std::vector<std::span<T>> state() {
    if (mean_.empty()) return {};
    return {std::span<T>(mean_)};
  }
  void resume_at(std::uint64_t steps) {
    detail::check_steps(steps);
    steps_ = steps;
  }

 private:
  Set set_;
  index_t dimension_;
  std::uint64_t steps_ = 0;
  std::vector<T> mean_;
};

}  // namespace zo
