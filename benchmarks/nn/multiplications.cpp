#include "multiplications.hpp"

#include <vector>

#include "nn/plan.hpp"

namespace bench {
namespace {

using zo::index_t;
using zo::nn::node;
using zo::nn::operation;
using zo::nn::detail::extent;

// Pairs of an output and a tap along one axis.
index_t taps_along(index_t size, index_t outputs, const node& n, borders taps) {
  if (taps == borders::multiplied) return outputs * n.kernel;
  index_t inside = 0;
  for (index_t at = 0; at < outputs; ++at) {
    for (index_t k = 0; k < n.kernel; ++k) {
      const index_t from = at * n.stride + k - n.padding;
      if (from >= 0 && from < size) ++inside;
    }
  }
  return inside;
}

// From `channels` input channels into all output channels.
index_t of_layer(const node& n, index_t channels, borders taps) {
  if (n.what == operation::linear) return n.out.size() * channels * n.in.area();
  return n.out.channels * channels * taps_along(n.in.height, n.out.height, n, taps) *
         taps_along(n.in.width, n.out.width, n, taps);
}

// The first value of the block that computes value `id`. Blocks end where a shortcut is added and
// the next operation is done; outside of blocks each convolution or linear map begins one.
index_t block_of(const zo::nn::network& net, index_t id) {
  const std::vector<node>& all = net.nodes();
  for (index_t sum = id; sum < static_cast<index_t>(all.size()); ++sum) {
    const node& n = all[static_cast<std::size_t>(sum)];
    if (n.what != operation::add) continue;
    // Both ways lead back to the value that the block works on.
    index_t a = n.first, b = n.second;
    while (a != b) {
      index_t& later = a > b ? a : b;
      later = all[static_cast<std::size_t>(later)].first;
    }
    return a < id ? a + 1 : id;
  }
  return id;
}

index_t of_channel(const zo::nn::network& net, index_t first, borders taps) {
  const zo::nn::detail::plan plan(net);
  const zo::nn::detail::path way(net, plan, first, extent::channel);
  index_t sum = 0;
  for (const zo::nn::detail::reached& r : way.units) {
    const index_t last = plan.units[static_cast<std::size_t>(r.unit)].last;
    const node& n = net.nodes()[static_cast<std::size_t>(last)];
    if (mixes(n.what)) sum += of_layer(n, r.main.how == extent::channel ? 1 : n.in.channels, taps);
  }
  return sum;
}

}  // namespace

index_t multiplications_of(const zo::nn::network& net, const zo::nn::view& moved, reuse how,
                           borders taps) {
  if (how == reuse::channel) return of_channel(net, moved.node, taps);
  const index_t first = how == reuse::none    ? 0
                        : how == reuse::block ? block_of(net, moved.node)
                                              : moved.node;
  index_t sum = 0;
  for (index_t id = first; id < static_cast<index_t>(net.nodes().size()); ++id) {
    const node& n = net.nodes()[static_cast<std::size_t>(id)];
    if (mixes(n.what)) sum += of_layer(n, n.in.channels, taps);
  }
  return sum;
}

index_t inner_multiplications(const zo::nn::network& net) {
  return multiplications_of(net, net.parameters().front(), reuse::none, borders::skipped);
}

}  // namespace bench
