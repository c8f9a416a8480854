// A parallel loop whose items lie one after another in memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "zo/config.hpp"
#include "zo/execution.hpp"

namespace zo::nn::detail {

/// body(item), 0 … items - 1 in any order; what one throws is rethrown. A thread begins with its
/// own share of them, the same share of every loop: what it wrote in one it reads in the next,
/// while that is near. Then it helps the others.
template <class Body>
void loop_by_place(int threads, index_t items, const Body& body) {
  struct alignas(64) share {  // a line of cache for each
    std::atomic<index_t> next;
    index_t end;
  };
  threads = static_cast<int>(std::min<index_t>({threads, zo::detail::most_threads, items}));
  if (threads <= 1) {
    for (index_t item = 0; item < items; ++item) body(item);
    return;
  }
  std::vector<share> shares(static_cast<std::size_t>(threads));
  for (index_t k = 0; k < threads; ++k) {
    shares[static_cast<std::size_t>(k)].next = items * k / threads;
    shares[static_cast<std::size_t>(k)].end = items * (k + 1) / threads;
  }
  auto work = [&](index_t, int worker) {
    for (int k = 0; k < threads; ++k) {
      share& s = shares[static_cast<std::size_t>((worker + k) % threads)];
      for (index_t item; (item = s.next.fetch_add(1, std::memory_order_relaxed)) < s.end;) {
        body(item);
      }
    }
  };
  zo::detail::run_loop(threads, threads, zo::detail::loop_body(work));
}

}  // namespace zo::nn::detail
