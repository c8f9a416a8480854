// Points of which most numbers are zero: a set to stay in.
#pragma once

#include <span>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"

namespace zo {

namespace detail {

// Compiled in src/projection.cpp.
template <class T>
void keep_largest(std::span<T> x, index_t count);

}  // namespace detail

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

}  // namespace zo
