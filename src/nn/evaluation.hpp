// What is evaluated together: a batch norm with the sum and the ReLU that follow it alone.
#pragma once

#include <vector>

#include "lanes.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

// A batch norm and what follows it: norm (-> add) (-> relu), evaluated where the last of them
// stands. The value of the norm is not kept then; that of the sum is, because the differences of
// its ReLU need it.
struct norm_chain {
  index_t norm = -1;
  index_t add = -1, other = -1;  // the sum, and its other operand
  index_t relu = -1;

  index_t last() const { return relu >= 0 ? relu : add >= 0 ? add : norm; }
};

struct evaluation {
  explicit evaluation(const network& net);

  std::vector<norm_chain> chains;               // by their last node
  std::vector<char> absorbed;                   // by node: evaluated with a later one
  std::vector<index_t> norm_after;              // by node: the only user, if that is a batch norm
  std::vector<index_t> last_use;                // by node: the last node that reads it
  std::vector<std::vector<position_run>> runs;  // by node
  std::vector<std::vector<chunk>> chunks;       // by node
};

}  // namespace zo::nn::detail
