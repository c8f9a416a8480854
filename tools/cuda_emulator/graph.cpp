// Graphs.
#include <algorithm>
#include <memory>
#include <utility>

#include "capture.hpp"
#include "memory.hpp"
#include "runtime.hpp"
#include "stream.hpp"

namespace {

using namespace cuda_emulator::detail;

bool has_memory(const std::vector<node>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const node& it) { return it.what->memory != nullptr; });
}

}  // namespace

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t handle,
                                 unsigned long long flags) {
  return api(__func__, [&] {
    CUgraph_st* graph = all.graphs.find(handle);
    if (exec == nullptr || graph == nullptr || flags > cudaGraphInstantiateFlagAutoFreeOnLaunch) {
      return cudaErrorInvalidValue;
    }
    // The addresses of its memory can be in use only once.
    if (has_memory(graph->nodes) && !graph->instance.expired()) return cudaErrorInvalidValue;
    *exec = all.execs.add({.nodes = graph->nodes, .frees_on_launch = flags != 0});
    graph->instance = (*exec)->instance;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return on_stream(__func__, stream_handle, [&](CUstream_st& stream) {
    CUgraphExec_st* exec = all.execs.find(handle);
    if (exec == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t refused = cannot_wait(stream)) return refused;
    for (const auto& [what, after] : exec->nodes) {
      if (what->what != kind::alloc) continue;
      allocation& memory = *what->memory->memory;
      if (memory.launched && !exec->frees_on_launch) return cudaErrorInvalidValue;
      memory.launched = !contains(exec->nodes, kind::free, what->memory.get());
    }
    // One launch of a graph comes after the other, whatever their streams.
    enqueue(stream, std::make_shared<work>(), {exec->last});
    std::vector<operation_pointer> made;
    for (const auto& [what, after] : exec->nodes) {
      std::vector<operation_pointer> before{stream.last};
      for (const std::size_t it : after) before.push_back(made[it]);
      count_work(stream, *what);
      made.push_back(make_operation(what, std::move(before)));
    }
    enqueue(stream, std::make_shared<work>(), std::move(made));
    exec->last = stream.last;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph_handle,
                                cudaGraphExecUpdateResultInfo* info) {
  return api(__func__, [&] {
    CUgraphExec_st* exec = all.execs.find(handle);
    const CUgraph_st* graph = all.graphs.find(graph_handle);
    if (exec == nullptr || graph == nullptr || info == nullptr) return cudaErrorInvalidValue;
    *info = {};
    if (has_memory(exec->nodes) || has_memory(graph->nodes)) {
      info->result = cudaGraphExecUpdateErrorNotSupported;
    } else if (exec->nodes.size() != graph->nodes.size()) {
      info->result = cudaGraphExecUpdateErrorTopologyChanged;
    }
    for (std::size_t i = 0; i < exec->nodes.size() && info->result == 0; ++i) {
      if (exec->nodes[i].after != graph->nodes[i].after) {
        info->result = cudaGraphExecUpdateErrorTopologyChanged;
      } else if (exec->nodes[i].what->what != graph->nodes[i].what->what) {
        info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
      }
    }
    if (info->result != cudaGraphExecUpdateSuccess) return cudaErrorGraphExecUpdateFailure;
    exec->nodes = graph->nodes;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api(__func__,
             [&] { return all.graphs.remove(graph) ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return api(__func__,
             [&] { return all.execs.remove(exec) ? cudaSuccess : cudaErrorInvalidValue; });
}
