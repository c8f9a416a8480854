// Finite-difference schemes: which points around x are asked, and what slope their answers give.
#pragma once

#include <concepts>

#include "zo/config.hpp"

namespace zo {

/// Forward difference: [f(x + h u) - f(x)] / h. Error of order h; one query per direction plus one
/// shared f(x).
struct forward {
  static constexpr bool uses_base = true;  // f(x) is asked once per estimate
  static constexpr int points = 1;         // queries per direction or coordinate
};

/// Central difference: [f(x + h u) - f(x - h u)] / (2 h). Error of order h^2; two queries per
/// direction, f(x) itself is not asked.
struct central {
  static constexpr bool uses_base = false;
  static constexpr int points = 2;
};

template <class S>
concept difference_scheme = requires {
  { S::uses_base } -> std::convertible_to<bool>;
  { S::points } -> std::convertible_to<int>;
}
&&(S::points == 1 || S::points == 2);

namespace detail {

// Side of point p of a scheme: +1, then -1.
ZO_HD constexpr double side(int point) { return point == 0 ? 1.0 : -1.0; }

}  // namespace detail
}  // namespace zo
