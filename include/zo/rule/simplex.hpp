// The simplex, shares of a whole: a set to stay in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/rule/numbers.hpp"

namespace zo {

namespace detail {

// Compiled in src/projection.cpp.
template <class T>
void project_on_simplex(int threads, std::span<T> x, double radius);

// Towards `value` times unit vector k.
template <scalar T>
void lean_to_corner(std::span<T> x, std::size_t k, double value, double share) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double s = i == k ? value : 0;
    x[i] += static_cast<T>(share * (s - static_cast<double>(x[i])));
  }
}

}  // namespace detail

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

/// Moves x by `share` of the way to where the sum of gradient[i] s[i] is least in the set, for
/// zo::frank_wolfe.
template <scalar T>
void lean(const simplex& set, std::span<T> x, std::span<const T> gradient, double share) {
  const auto least = std::ranges::min_element(gradient) - gradient.begin();
  detail::lean_to_corner(x, static_cast<std::size_t>(least), set.radius(), share);
}

}  // namespace zo
