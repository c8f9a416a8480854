// The lengths of groups of numbers: a penalty that makes whole groups zero.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"
#include "zo/finite.hpp"
#include "zo/rule/ball.hpp"

namespace zo {

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

}  // namespace zo
