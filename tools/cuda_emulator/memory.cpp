#include "memory.hpp"

#include <algorithm>
#include <cstdint>

#include "capture.hpp"
#include "runtime.hpp"
#include "stream.hpp"

namespace cuda_emulator::detail {

allocation* holding(const void* pointer) {
  auto at = all.memory.upper_bound(reinterpret_cast<std::uintptr_t>(pointer));
  if (at == all.memory.begin()) return nullptr;
  allocation* found = std::prev(at)->second.get();
  return static_cast<const std::byte*>(pointer) < found->base + found->bytes ? found : nullptr;
}

place place_of(const void* pointer, std::size_t bytes) {
  if (pointer == nullptr) return place::wrong;
  const allocation* memory = holding(pointer);
  if (memory == nullptr) return place::pageable;
  const auto* end = static_cast<const std::byte*>(pointer) + bytes;
  if (memory->freed || end > memory->base + memory->bytes) return place::wrong;
  return memory->type == cudaMemoryTypeDevice ? place::device : place::pinned;
}

void require_usable(const void* pointer, place expected, const char* operation) {
  if (expected == place::pageable) return;
  const allocation* memory = holding(pointer);
  if (memory == nullptr || !memory->usable) {
    die(std::string(operation) + " ran before the allocation of its memory, or after the free");
  }
}

void show_memory(bool visible) {
  for (const auto& [at, memory] : all.memory) {
    if (memory->type == cudaMemoryTypeDevice) memory->show(visible && memory->usable);
    if (!visible) memory->check();
  }
}

void account(const allocation& memory, bool live) {
  auto& count = all.count;
  if (memory.type == cudaMemoryTypeHost) {
    count.live_pinned_allocations += live ? 1 : std::size_t(-1);
    return;
  }
  count.live_allocations += live ? 1 : std::size_t(-1);
  count.live_bytes += live ? memory.bytes : -memory.bytes;
  count.peak_bytes = std::max(count.peak_bytes, count.live_bytes);
  if (memory.pool == nullptr) return;
  auto& values = memory.pool->values;
  values[cudaMemPoolAttrUsedMemCurrent] += live ? memory.bytes : -memory.bytes;
  // Nothing is kept for later: what is reserved is what is in use.
  const std::uint64_t used = values[cudaMemPoolAttrUsedMemCurrent];
  values[cudaMemPoolAttrReservedMemCurrent] = used;
  for (const auto high : {cudaMemPoolAttrUsedMemHigh, cudaMemPoolAttrReservedMemHigh}) {
    values[high] = std::max(values[high], used);
  }
}

void forget(const allocation& memory) {
  if (memory.type == cudaMemoryTypeDevice) all.held_bytes -= memory.bytes;
  all.memory.erase(reinterpret_cast<std::uintptr_t>(memory.base));
}

lease::~lease() {
  account(*memory, false);
  forget(*memory);
}

}  // namespace cuda_emulator::detail

namespace {

using namespace cuda_emulator::detail;

cudaError_t allocate(void** pointer, std::size_t bytes, cudaMemoryType type, int device,
                     CUmemPoolHandle_st* pool = nullptr, allocation** made = nullptr) {
  if (all.set.allocations_left > 0 && --all.set.allocations_left == 0) {
    ++all.count.failures;
    return cudaErrorMemoryAllocation;
  }
  const bool on_device = type == cudaMemoryTypeDevice;
  if (on_device && bytes > all.set.memory - std::min(all.set.memory, all.count.live_bytes)) {
    return cudaErrorMemoryAllocation;
  }
  auto memory = std::make_unique<allocation>();
  if (!memory->allocate(bytes)) return cudaErrorMemoryAllocation;
  memory->type = type;
  memory->device = device;
  memory->pool = pool;
  if (on_device) {
    all.held_bytes += bytes;
    memory->show(false);
  }
  account(*memory, true);
  *pointer = memory->base;
  if (made != nullptr) *made = memory.get();
  all.memory.emplace(reinterpret_cast<std::uintptr_t>(memory->base), std::move(memory));
  return cudaSuccess;
}

// The allocation that begins at `pointer` and is still to be freed.
allocation* owned(const void* pointer, cudaMemoryType type) {
  allocation* memory = holding(pointer);
  const bool exact = memory != nullptr && memory->base == pointer && memory->type == type;
  return exact && !memory->freed ? memory : nullptr;
}

cudaError_t allocate_in_order(const char* name, void** pointer, std::size_t bytes,
                              const cudaMemPool_t* from, cudaStream_t handle) {
  return on_stream(name, handle, [&](CUstream_st& stream) {
    auto* pool = from != nullptr ? all.pools.find(*from) : default_pool(stream.device);
    if (pointer == nullptr || pool == nullptr || pool->gone) return cudaErrorInvalidValue;
    if (stream.in != nullptr && stream.in->broken) return cudaErrorStreamCaptureInvalidated;
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    if (bytes == 0) {
      suspect(std::string(name) + " of no bytes");
      *pointer = nullptr;
      return cudaSuccess;
    }
    const bool in_graph = stream.in != nullptr;
    if (!in_graph && bytes > pool->most - pool->values[cudaMemPoolAttrUsedMemCurrent])
      return cudaErrorMemoryAllocation;
    // A pool hands out again what this stream has freed: so does the heap.
    if (!in_graph && all.held_bytes + bytes > all.set.memory) run(stream.last);
    allocation* made = nullptr;
    if (const cudaError_t refused = allocate(pointer, bytes, cudaMemoryTypeDevice, stream.device,
                                             in_graph ? nullptr : pool, &made)) {
      return refused;
    }
    made->usable = false;
    work what{kind::alloc, [made] {
                made->usable = true;
                made->show(true);
                std::memset(made->base, unset, made->bytes);
              }};
    if (in_graph) made->graph = what.memory = std::make_shared<lease>(made);
    return submit(stream, std::move(what));
  });
}

cudaError_t allocate_now(const char* name, void** pointer, std::size_t bytes, cudaMemoryType type) {
  return api(name, [&] {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t refused = unsafe_in_capture(name)) return refused;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    ++all.count.may_synchronize;
    return allocate(pointer, bytes, type, this_thread().device);
  });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate_now(__func__, pointer, bytes, cudaMemoryTypeDevice);
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return allocate_now(__func__, pointer, bytes, cudaMemoryTypeHost);
}

cudaError_t cudaFree(void* pointer) {
  return api(__func__, [&] {
    if (pointer == nullptr) return cudaSuccess;
    allocation* memory = owned(pointer, cudaMemoryTypeDevice);
    const bool of_graph = memory != nullptr && !memory->graph.expired();
    if (memory == nullptr || (of_graph && !memory->launched)) return cudaErrorInvalidValue;
    if (const cudaError_t refused = unsafe_in_capture("cudaFree")) return refused;
    ++all.count.synchronizations;
    run_device(memory->device);
    if (of_graph) {
      memory->usable = memory->launched = false;
    } else {
      account(*memory, false);
      forget(*memory);
    }
    return cudaSuccess;
  });
}

cudaError_t cudaFreeHost(void* pointer) {
  return api(__func__, [&] {
    if (pointer == nullptr) return cudaSuccess;
    const allocation* memory = owned(pointer, cudaMemoryTypeHost);
    if (memory == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t refused = unsafe_in_capture("cudaFreeHost")) return refused;
    ++all.count.may_synchronize;
    account(*memory, false);
    forget(*memory);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t stream) {
  return allocate_in_order(__func__, pointer, bytes, nullptr, stream);
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return allocate_in_order(__func__, pointer, bytes, &pool, stream);
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    allocation* memory = owned(pointer, cudaMemoryTypeDevice);
    if (memory == nullptr) return cudaErrorInvalidValue;
    const std::shared_ptr<lease> graph = memory->graph.lock();
    const bool captures = stream.in != nullptr;
    if (captures && !contains(stream.in->nodes, kind::alloc, graph.get())) {
      suspect("cudaFreeAsync in a capture of memory that was not allocated in it");
      return cudaErrorInvalidValue;
    }
    if (!captures && graph != nullptr && !memory->launched) return cudaErrorInvalidValue;
    work what{kind::free, [memory, of_graph = graph != nullptr] {
                if (!memory->usable) die("cudaFreeAsync ran before the allocation of its memory");
                memory->usable = false;
                memory->check();
                memory->show(false);
                if (!of_graph) forget(*memory);
              }};
    what.memory = graph;
    if (const cudaError_t refused = submit(stream, std::move(what))) return refused;
    if (captures || graph == nullptr) memory->freed = true;
    if (!captures) memory->launched = false;
    if (graph == nullptr) account(*memory, false);
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api(__func__, [&] {
    if (free == nullptr || total == nullptr) return cudaErrorInvalidValue;
    *total = all.set.memory;
    *free = all.set.memory - std::min(all.set.memory, all.count.live_bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api(__func__, [&] {
    const allocation* memory = holding(pointer);
    if (memory != nullptr && memory->freed) return cudaErrorInvalidValue;
    void* const at = const_cast<void*>(pointer);
    if (memory == nullptr) return give(attributes, {cudaMemoryTypeUnregistered, -1, nullptr, at});
    return give(attributes, {memory->type, memory->device, at,
                             memory->type == cudaMemoryTypeHost ? at : nullptr});
  });
}
