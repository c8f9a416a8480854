// Work of a stream: a node that knows what it comes after. Waiting for one runs what it needs and
// nothing else.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"

namespace cuda_emulator::detail {

struct lease;

enum class kind { nothing, launch, copy, fill, host, alloc, free };

struct work {
  kind what = kind::nothing;
  std::function<void()> run{};
  std::size_t to_device = 0, to_host = 0;
  std::shared_ptr<lease> memory{};  // of a graph
};
using work_pointer = std::shared_ptr<const work>;

struct operation {
  work_pointer what;
  std::vector<std::shared_ptr<operation>> after;
  bool done = false;
  std::chrono::steady_clock::time_point when{};

  operation(work_pointer does, std::vector<std::shared_ptr<operation>> comes_after)
      : what(std::move(does)), after(std::move(comes_after)) {}
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;
  ~operation() {  // a loop: a chain that never ran may be long
    auto chain = std::move(after);
    while (!chain.empty()) {
      const auto last = std::move(chain.back());
      chain.pop_back();
      if (last.use_count() > 1) continue;
      chain.insert(chain.end(), last->after.begin(), last->after.end());
      last->after.clear();
    }
  }
};
using operation_pointer = std::shared_ptr<operation>;

struct node {
  work_pointer what;
  std::vector<std::size_t> after;
};

bool contains(const std::vector<node>& nodes, kind what, const lease* memory);

operation_pointer make_operation(work_pointer what, std::vector<operation_pointer> after);

void run(operation_pointer goal) noexcept;

// Whether `goal` has ended. If not it ends now, so that who asks again gets on.
cudaError_t query(const operation_pointer& goal);

}  // namespace cuda_emulator::detail
