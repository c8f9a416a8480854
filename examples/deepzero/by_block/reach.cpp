#include "reach.hpp"

#include <algorithm>

namespace deepzero {

using zo::index_t;
using zo::nn::node;
using zo::nn::operation;

namespace {

// Whether every position of the output depends on every one of the input.
bool gathers(operation what) {
  switch (what) {
    case operation::linear:
    case operation::global_average_pool:
    case operation::attention:
      return true;
    case operation::input:
    case operation::convolution:
    case operation::batch_norm:
    case operation::relu:
    case operation::max_pool:
    case operation::average_pool:
    case operation::add:
    case operation::subsample:
    case operation::embedding:
    case operation::positions:
    case operation::layer_norm:
    case operation::gelu:
      return false;
  }
  return false;
}

stretch both(stretch a, stretch b) {
  if (a.first >= a.end) return b;
  if (b.first >= b.end) return a;
  return {std::min(a.first, b.first), std::max(a.end, b.end)};
}

// Outputs along one axis that have one of these among their taps.
stretch after(const node& n, stretch in, index_t outputs) {
  if (in.first >= in.end) return {0, 0};
  if (gathers(n.what)) return {0, outputs};
  const auto up = [&](index_t a) { return a <= 0 ? 0 : (a + n.stride - 1) / n.stride; };
  return {up(in.first + n.padding - n.kernel + 1),
          std::min(outputs, (in.end - 1 + n.padding) / n.stride + 1)};
}

std::vector<stretch> along(const zo::nn::network& net, index_t zo::nn::shape::*axis) {
  std::vector<stretch> reached;
  for (index_t at = 0; at < net.nodes().front().out.*axis; ++at) {
    std::vector<stretch> of{{at, at + 1}};
    for (const node& n : net.nodes()) {
      if (n.what == operation::input) continue;
      stretch in = of[static_cast<std::size_t>(n.first)];
      if (n.second >= 0) in = both(in, of[static_cast<std::size_t>(n.second)]);
      of.push_back(after(n, in, n.out.*axis));
    }
    reached.push_back(of.back());
  }
  return reached;
}

}  // namespace

zo::nn::window reach::window(index_t row, index_t column) const {
  const stretch &rows = of_row[static_cast<std::size_t>(row)],
                &columns = of_column[static_cast<std::size_t>(column)];
  if (rows.first >= rows.end || columns.first >= columns.end) return {0, 0, 0, 0};
  return {rows.first, rows.end, columns.first, columns.end};
}

reach reach_of(const zo::nn::network& net) {
  return {along(net, &zo::nn::shape::height), along(net, &zo::nn::shape::width)};
}

index_t period_of(const std::vector<stretch>& reached) {
  const auto size = static_cast<index_t>(reached.size());
  for (index_t period = 1; period < size; ++period) {
    bool apart = true;
    for (index_t at = 0; at + period < size && apart; ++at) {
      const stretch &a = reached[static_cast<std::size_t>(at)],
                    &b = reached[static_cast<std::size_t>(at + period)];
      apart = a.first >= a.end || b.first >= b.end || a.end <= b.first;
    }
    if (apart) return period;
  }
  return size;
}

}  // namespace deepzero
