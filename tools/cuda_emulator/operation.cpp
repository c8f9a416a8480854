#include "operation.hpp"

#include <algorithm>
#include <cstdint>

#include "block.hpp"
#include "memory.hpp"
#include "runtime.hpp"

namespace cuda_emulator::detail {

operation_pointer make_operation(work_pointer what, std::vector<operation_pointer> after) {
  std::erase_if(after, [](const operation_pointer& it) { return it == nullptr || it->done; });
  for (std::size_t n = after.size(); n > 1; --n) {
    std::swap(after[cuda_emulator::detail::draw(static_cast<std::uint32_t>(n))], after[n - 1]);
  }
  std::reverse(after.begin(), after.end());  // run() takes the last one first
  return std::make_shared<operation>(std::move(what), std::move(after));
}

void run(operation_pointer goal) noexcept {
  if (goal == nullptr || goal->done) return;
  all.running = true;
  show_memory(true);
  std::vector<operation_pointer> path{std::move(goal)};
  while (!path.empty()) {
    operation& at = *path.back();
    while (!at.after.empty() && at.after.back()->done) at.after.pop_back();
    if (!at.after.empty()) {
      path.push_back(at.after.back());
      continue;
    }
    if (!at.done) {
      if (at.what->run) at.what->run();
      at.what.reset();
      at.when = std::chrono::steady_clock::now();
      at.done = true;
    }
    path.pop_back();
  }
  show_memory(false);
  all.running = false;
}

cudaError_t query(const operation_pointer& goal) {
  if (goal == nullptr || goal->done) return cudaSuccess;
  const bool waits = goal->what->what != kind::nothing || !goal->after.empty();
  run(goal);
  return waits ? cudaErrorNotReady : cudaSuccess;
}

bool contains(const std::vector<node>& nodes, kind what, const lease* memory) {
  return memory != nullptr && std::any_of(nodes.begin(), nodes.end(), [&](const node& it) {
           return it.what->what == what && it.what->memory.get() == memory;
         });
}

}  // namespace cuda_emulator::detail
