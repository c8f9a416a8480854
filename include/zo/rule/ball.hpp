// The ball around zero: a set to stay in.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/rounding.hpp"
#include "zo/rule/numbers.hpp"

namespace zo {

namespace detail {

// Compiled in src/projection.cpp.
template <class T>
void project_on_ball(int threads, std::span<T> x, double radius);

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

/// Moves x by `share` of the way to where the sum of gradient[i] s[i] is least in the set, for
/// zo::frank_wolfe.
template <scalar T>
void lean(const ball& set, std::span<T> x, std::span<const T> gradient, double share) {
  const auto largest = static_cast<double>(
      detail::largest_magnitude(static_cast<index_t>(gradient.size()), gradient.data()));
  if (largest == 0) return;
  double squares = 0;
  for (const T g : gradient) squares += std::pow(static_cast<double>(g) / largest, 2);
  const double factor = -set.radius() / std::sqrt(squares);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double s = static_cast<double>(gradient[i]) / largest * factor;
    x[i] += static_cast<T>(share * (s - static_cast<double>(x[i])));
  }
}

}  // namespace zo
