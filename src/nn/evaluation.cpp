// Which nodes are evaluated together, and where.
#include "evaluation.hpp"

#include <algorithm>

namespace zo::nn::detail {

evaluation::evaluation(const network& net)
    : chains(net.nodes().size()),
      absorbed(net.nodes().size(), 0),
      norm_after(net.nodes().size(), -1),
      last_use(net.nodes().size(), -1),
      runs(net.nodes().size()),
      chunks(net.nodes().size()) {
  const std::vector<node>& nodes = net.nodes();
  std::vector<std::vector<index_t>> users(nodes.size());
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    for (const index_t from : {nodes[id].first, nodes[id].second}) {
      if (from >= 0) users[static_cast<std::size_t>(from)].push_back(static_cast<index_t>(id));
    }
    if (mixes(nodes[id].what)) {
      runs[id] = runs_of(nodes[id]);
      chunks[id] = chunks_of(nodes[id], runs[id]);
    }
  }
  const auto only_user = [&](index_t id, operation what) -> index_t {
    const std::vector<index_t>& all = users[static_cast<std::size_t>(id)];
    return all.size() == 1 && nodes[static_cast<std::size_t>(all[0])].what == what ? all[0] : -1;
  };
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    norm_after[id] = only_user(static_cast<index_t>(id), operation::batch_norm);
    if (!users[id].empty()) last_use[id] = users[id].back();
  }
  std::vector<char> taken(nodes.size(), 0);  // sums that a chain has
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    if (nodes[id].what != operation::batch_norm) continue;
    norm_chain c;
    c.norm = static_cast<index_t>(id);
    c.add = only_user(c.norm, operation::add);
    if (c.add >= 0 && taken[static_cast<std::size_t>(c.add)]++ > 0) c.add = -1;
    if (c.add >= 0) {
      const node& sum = nodes[static_cast<std::size_t>(c.add)];
      c.other = sum.first == c.norm ? sum.second : sum.first;
      c.relu = only_user(c.add, operation::relu);
    } else {
      c.relu = only_user(c.norm, operation::relu);
    }
    for (const index_t part : {c.norm, c.add, c.relu}) {
      if (part >= 0 && part != c.last()) absorbed[static_cast<std::size_t>(part)] = 1;
    }
    chains[static_cast<std::size_t>(c.last())] = c;
    // The chain reads where its last node stands.
    index_t& read = last_use[static_cast<std::size_t>(nodes[id].first)];
    read = std::max(read, c.last());
    if (c.other >= 0) {
      index_t& other = last_use[static_cast<std::size_t>(c.other)];
      other = std::max(other, c.last());
    }
  }
}

}  // namespace zo::nn::detail
