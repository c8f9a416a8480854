// What is evaluated together, what a change reaches, and what that costs: from the description
// alone, made once, and carried out by two interpreters, on the CPU (pass.cpp, difference_pass.cpp)
// and on a GPU (cuda/nn/).
#pragma once

#include <vector>

#include "extent.hpp"
#include "zo/config.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

/// Nodes that are evaluated together, at the last of them: one of any kind; or a batch norm, a sum
/// and a ReLU, each with the next as its only reader. A sum that is followed by a ReLU is kept,
/// because differences of the ReLU are taken there; other inner values are not.
struct unit {
  index_t last = -1;
  index_t norm = -1, sum = -1, relu = -1;
  index_t main = -1, other = -1;  // what is read; main by the norm

  bool has(index_t node) const { return node == last || node == norm || node == sum; }
  bool keeps_sum() const { return sum >= 0 && relu >= 0; }
  /// Whether the value of a node of the unit is there after it.
  bool keeps(index_t node) const { return node == last || (node == sum && relu >= 0); }
  /// The node whose layer evaluates the unit.
  index_t head() const { return norm >= 0 ? norm : sum >= 0 ? sum : last; }
};

struct plan {
  explicit plan(const network& net);

  std::vector<unit> units;          // in the order of evaluation
  std::vector<index_t> unit_of;     // by node: the unit that has it; -1 for the input
  std::vector<index_t> norm_after;  // by node: its only reader, if that is a batch norm
  std::vector<index_t> last_use;    // by node: the last node of the last unit that reads it
  std::vector<char> sums_made;      // by unit: its norm's sums come from the product before it
  std::vector<char> product_next;   // by unit: it has a norm, and a product comes next and reads it

  const unit& of(index_t node) const {
    return units[static_cast<std::size_t>(unit_of[static_cast<std::size_t>(node)])];
  }
};

/// A channel is known by its distance from the channel in which the change began.
struct change {
  extent how = extent::none;
  index_t shift = 0;
};

/// A unit whose output changes.
struct reached {
  index_t unit = -1;              // number in the plan
  index_t main_node = -1;         // what is read as `main`: where the change began inside of the
                                  // unit that node, else the unit's own
  change main{}, other{}, out{};  // `other` only if main_node is not behind the sum
  bool normed = false;            // the batch norm is passed
  index_t sums_for = -1;          // of a product: the unit of the batch norm that wants sums of it
  bool sums_made = false;         // … and the product before it can make its sums
  std::vector<index_t> released{};  // nodes whose changes nobody reads any more
  index_t multiplications = 0;      // of one sample
};

/// Everything that a change of node `from` reaches, in the order of evaluation.
struct path {
  path(const network& net, const plan& of, index_t from, extent how);

  index_t from;
  change begin{}, end{};  // of the node, and of the outputs
  std::vector<reached> units;
  index_t multiplications = 0;  // of one sample
  double numbers = 0;           // written, of one sample
};

}  // namespace zo::nn::detail
