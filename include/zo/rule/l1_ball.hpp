// The ball of the sum of magnitudes: a set to stay in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/rounding.hpp"
#include "zo/rule/numbers.hpp"
#include "zo/rule/simplex.hpp"

namespace zo {

namespace detail {

// Compiled in src/projection.cpp.
template <class T>
void project_on_l1_ball(int threads, std::span<T> x, double radius);

}  // namespace detail

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

/// Moves x by `share` of the way to where the sum of gradient[i] s[i] is least in the set, for
/// zo::frank_wolfe.
template <scalar T>
void lean(const l1_ball& set, std::span<T> x, std::span<const T> gradient, double share) {
  const auto steepest =
      std::ranges::max_element(gradient, {}, [](T g) { return detail::magnitude(g); });
  const double sign = *steepest > T(0) ? -1 : *steepest < T(0) ? 1 : 0;
  if (sign == 0) return;
  detail::lean_to_corner(x, static_cast<std::size_t>(steepest - gradient.begin()),
                         sign * set.radius(), share);
}

}  // namespace zo
