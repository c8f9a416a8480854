// Which nodes are evaluated together, and what a change reaches.
#include "nn/plan.hpp"

#include <algorithm>

namespace zo::nn::detail {

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// Readers of each node, in their order.
std::vector<std::vector<index_t>> readers_of(const std::vector<node>& nodes) {
  std::vector<std::vector<index_t>> readers(nodes.size());
  for (index_t id = 0; id < static_cast<index_t>(nodes.size()); ++id) {
    for (const index_t from : {nodes[at(id)].first, nodes[at(id)].second}) {
      if (from >= 0) readers[at(from)].push_back(id);
    }
  }
  return readers;
}

// The only reader of a node, if it is of this kind; -1 otherwise.
class only_readers {
 public:
  explicit only_readers(const std::vector<node>& nodes)
      : nodes_(nodes), readers_(readers_of(nodes)) {}
  index_t operator()(index_t id, operation what) const {
    const std::vector<index_t>& all = readers_[at(id)];
    return all.size() == 1 && nodes_[at(all[0])].what == what ? all[0] : -1;
  }

 private:
  const std::vector<node>& nodes_;
  std::vector<std::vector<index_t>> readers_;
};

}  // namespace

plan::plan(const network& net)
    : unit_of(net.nodes().size(), -1),
      norm_after(net.nodes().size(), -1),
      last_use(net.nodes().size(), -1) {
  const std::vector<node>& nodes = net.nodes();
  const only_readers reader(nodes);
  std::vector<char> taken(nodes.size(), 0);
  const auto next = [&](index_t id, operation what) {
    const index_t found = reader(id, what);
    return found >= 0 && taken[at(found)]++ == 0 ? found : -1;
  };
  for (index_t id = 0; id < static_cast<index_t>(nodes.size()); ++id) {
    const node& n = nodes[at(id)];
    norm_after[at(id)] = reader(id, operation::batch_norm);
    if (n.what == operation::input || taken[at(id)] != 0) continue;
    unit u{.last = id, .main = n.first, .other = n.second};
    if (n.what == operation::batch_norm) {
      u.norm = id;
      u.sum = next(id, operation::add);
    } else if (n.what == operation::add) {
      u.sum = id;
    } else if (n.what == operation::relu) {
      u.relu = id;
    }
    if (u.norm >= 0 && u.sum >= 0) {
      const node& sum = nodes[at(u.sum)];
      u.other = sum.first == id ? sum.second : sum.first;
      u.last = u.sum;
    }
    if (u.norm >= 0 || u.sum >= 0) {
      u.relu = next(u.last, operation::relu);
      u.last = std::max(u.last, u.relu);
    }
    units.push_back(u);
  }
  std::ranges::sort(units, {}, &unit::last);
  for (index_t k = 0; k < static_cast<index_t>(units.size()); ++k) {
    const unit& u = units[at(k)];
    for (const index_t own : {u.norm, u.sum, u.relu, u.last}) {
      if (own >= 0) unit_of[at(own)] = k;
    }
    for (const index_t read : {u.main, u.other, u.norm, u.sum}) {
      if (read >= 0 && read != u.last) last_use[at(read)] = std::max(last_use[at(read)], u.last);
    }
  }
  index_t summed = -1;  // the product whose sums are the last ones made
  for (const unit& u : units) {
    const bool product = mixes(nodes[at(u.last)].what);
    if (product) summed = norm_after[at(u.last)] >= 0 ? u.last : -1;
    sums_made.push_back(u.norm >= 0 && u.main == summed ? 1 : 0);
    if (u.norm >= 0) summed = -1;
  }
  for (std::size_t k = 0; k < units.size(); ++k) {
    const bool read = k + 1 < units.size() && units[k + 1].main == units[k].last;
    product_next.push_back(units[k].norm >= 0 && read && mixes(nodes[at(units[k + 1].last)].what));
  }
}

namespace {

// What a unit makes of changes of what it reads.
void follow(const network& net, const unit& u, reached& r) {
  const node& n = net.nodes()[at(u.last)];
  const change &a = r.main, &b = r.other;
  const bool single = a.how != extent::full && b.how != extent::full &&
                      (a.how == extent::none || b.how == extent::none || a.shift == b.shift);
  r.out.shift = a.how == extent::channel ? a.shift : b.shift;
  if (n.what == operation::subsample) r.out.shift += (n.out.channels - n.in.channels) / 2;
  r.out.how = single && traits_of(n.what).reach == reach::channel ? extent::channel : extent::full;
  if (r.out.how == extent::full) r.out.shift = 0;
  const bool part = a.how == extent::channel && mixes(n.what);
  r.multiplications = part ? n.multiplications / n.in.channels : n.multiplications;
}

}  // namespace

path::path(const network& net, const plan& of, index_t first, extent how) : from(first) {
  const auto count = static_cast<index_t>(net.nodes().size());
  std::vector<change> known(at(count));
  begin.how = known[at(first)].how = how;
  const auto size_of = [&](index_t id, const change& c) {
    const shape& s = net.nodes()[at(id)].out;
    return static_cast<double>(c.how == extent::channel ? s.area() : s.size());
  };
  numbers = size_of(first, begin);
  std::vector<char> by_product(at(count), 0);  // full changes that a product makes
  for (index_t k = 0; k < static_cast<index_t>(of.units.size()); ++k) {
    const unit& u = of.units[at(k)];
    if (u.last <= first) continue;
    const bool inside = u.has(first);
    reached r{.unit = k, .main_node = inside ? first : u.main};
    r.main = known[at(r.main_node)];
    if (u.other >= 0 && first != u.sum) r.other = known[at(u.other)];
    if (r.main.how == extent::none && r.other.how == extent::none) continue;
    follow(net, u, r);
    r.normed = u.norm >= 0 && !inside && r.main.how != extent::none;
    r.sums_made = r.normed && by_product[at(u.main)] != 0 && of.norm_after[at(u.main)] == u.norm;
    if (mixes(net.nodes()[at(u.last)].what)) {
      by_product[at(u.last)] = 1;
      const index_t norm = of.norm_after[at(u.last)];
      if (norm >= 0) r.sums_for = of.unit_of[at(norm)];
    }
    known[at(u.last)] = r.out;
    for (const index_t read : {r.main_node, u.other}) {
      if (read < 0 || known[at(read)].how == extent::none || of.last_use[at(read)] > u.last)
        continue;
      known[at(read)].how = extent::none;
      r.released.push_back(read);
    }
    if (of.last_use[at(u.last)] < 0 && u.last != count - 1) r.released.push_back(u.last);
    multiplications += r.multiplications;
    numbers += size_of(u.last, r.out);
    units.push_back(std::move(r));
  }
  end = known[at(count - 1)];
}

}  // namespace zo::nn::detail
