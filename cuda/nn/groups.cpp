// Which probes go together: those of one parameter tensor, as many as there is memory for.
#include "cuda/nn/group.hpp"
#include "cuda/nn/memory.hpp"
#include "zo/error.hpp"

namespace zo::cuda::detail {

using zo::detail::require;

namespace {

// How many of `count` probes go together, in shares of about the same size.
index_t together(const layout& way, index_t count, index_t room) {
  const index_t most = room / way.bytes, shares = (count + most - 1) / most;
  return (count + shares - 1) / shares;
}

}  // namespace

// Takes memory for the order of probes and for the groups of these tensors; how much of it groups
// have. Where the device has less than the limit allows, groups are smaller.
template <class T>
index_t network_state<T>::take_room(const std::vector<std::pair<const layout*, index_t>>& asked,
                                    index_t order_bytes) {
  index_t least = 0;
  for (const auto& [way, count] : asked) least = std::max(least, way->bytes);
  index_t room = options.max_bytes - kept.bytes() - order_bytes;
  require(room >= least, who, ": ", samples, " samples need ", kept.bytes(),
          " bytes for a pass and ", least + order_bytes,
          " for a probe, more than max_bytes = ", options.max_bytes,
          "; use smaller batches or allow more");
  for (;;) {
    index_t bytes = 0;
    for (const auto& [way, count] : asked) {
      bytes = std::max(bytes, way->bytes * together(*way, count, room));
    }
    if (scratch.bytes() >= order_bytes + bytes) return room;
    scratch = {};
    try {
      scratch = lasting(on, order_bytes + bytes);
      return room;
    } catch (const error& full) {
      if (full.code() != cudaErrorMemoryAllocation || bytes <= least) throw;
      room = std::max(least, bytes / 2);
    }
  }
}

template <class T>
void network_state<T>::probe(std::span<const index_t> known, span<const index_t> coordinates,
                             span<const T> steps, span<double> differences) {
  // By parameter tensor, in the order of the call.
  const auto count = static_cast<index_t>(known.size());
  std::vector<std::vector<index_t>> of_tensor(net.parameters().size());
  for (index_t k = 0; k < count; ++k) {
    const nn::view& v = net.parameter_of(known[at(k)]);
    of_tensor[at(&v - net.parameters().data())].push_back(k);
  }
  const index_t order_bytes = aligned(count * static_cast<index_t>(sizeof(index_t)));
  std::vector<index_t> order;
  std::vector<std::pair<const layout*, index_t>> asked;
  for (std::size_t v = 0; v < of_tensor.size(); ++v) {
    if (of_tensor[v].empty()) continue;
    order.insert(order.end(), of_tensor[v].begin(), of_tensor[v].end());
    asked.emplace_back(&layout_from(net.parameters()[v].node),
                       static_cast<index_t>(of_tensor[v].size()));
  }
  const index_t room = take_room(asked, order_bytes);
  auto* const there = static_cast<index_t*>(scratch.data());
  char* const memory = static_cast<char*>(scratch.data()) + order_bytes;
  upload(on, order.data(), count, there);
  index_t done = 0;
  for (std::size_t v = 0; v < of_tensor.size(); ++v) {
    const auto all = static_cast<index_t>(of_tensor[v].size());
    if (all == 0) continue;
    const layout& way = layout_from(net.parameters()[v].node);
    const index_t most = together(way, all, room), end = done + all;
    for (index_t some = 0; done < end; done += some) {
      some = std::min(most, end - done);
      group<T> g(*this, way, some, memory);
      g.begin(net.parameters()[v], there + done, coordinates.data(), steps.data());
      for (const placed_unit& u : way.units) g.follow(u);
      g.end(there + done, differences.data());
      multiplications += some * samples * way.multiplications;
    }
  }
}

template void network_state<float>::probe(std::span<const index_t>, span<const index_t>,
                                          span<const float>, span<double>);
template void network_state<double>::probe(std::span<const index_t>, span<const index_t>,
                                           span<const double>, span<double>);

}  // namespace zo::cuda::detail
