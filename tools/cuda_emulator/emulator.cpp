// The host's side: streams, events, graphs, memory. An operation is a node that knows what it comes
// after; waiting for one runs what it needs and nothing else.
#include "cuda_emulator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <thread>

#include "internal.hpp"

#ifdef ZO_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

using cuda_emulator::detail::die;
using cuda_emulator::detail::kernel;

namespace {

// Device memory is aligned to this, and without AddressSanitizer has as many marked bytes at each
// end.
constexpr std::size_t margin = 256;
constexpr unsigned char canary = 0xa5;
constexpr int unset = 0xff;  // fills new memory: NaNs
constexpr int processors = 4;

}  // namespace

struct CUmemPoolHandle_st {
  int device = 0;
  std::size_t most = std::numeric_limits<std::size_t>::max();
  bool is_default = false, gone = false;
  std::array<std::uint64_t, 9> values{0, 1, 1, 1};  // by cudaMemPoolAttr
};

namespace {

struct lease;

struct allocation {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  cudaMemoryType type = cudaMemoryTypeDevice;
  int device = 0;
  bool usable = true;  // stream order has reached the allocation, and not yet the free
  bool freed = false;  // the call to free it was made
  CUmemPoolHandle_st* pool = nullptr;
  std::weak_ptr<lease> graph{};  // memory of a graph lives as long as the nodes that hold this
  bool launched = false;         // memory of a graph that nobody has freed since

  allocation() = default;
  allocation(const allocation&) = delete;
  allocation& operator=(const allocation&) = delete;
  ~allocation() {
    if (base == nullptr) return;
    check();
    show(true);
    ::operator delete (base - frame(), std::align_val_t{margin});
  }

  bool allocate(std::size_t size) {
    auto* memory = static_cast<std::byte*>(
        ::operator new (size + 2 * frame(), std::align_val_t{margin}, std::nothrow));
    if (memory == nullptr) return false;
    std::memset(memory, canary, size + 2 * frame());
    base = memory + frame();
    bytes = size;
    std::memset(base, unset, bytes);
    return true;
  }

  static constexpr std::size_t frame() {
#ifdef ZO_EMULATOR_ASAN
    return 0;
#else
    return margin;
#endif
  }

  void check() const {
    for (std::size_t i = 0; i < frame(); ++i) {
      if (base[bytes + i] == std::byte{canary} && *(base - 1 - i) == std::byte{canary}) continue;
      die("something wrote outside of an allocation of " + std::to_string(bytes) + " bytes, " +
          std::to_string(i + 1) + " bytes from one of its ends");
    }
  }

  // The host never sees device memory, kernels and copies only while they run.
  void show([[maybe_unused]] bool visible) const {
#ifdef ZO_EMULATOR_ASAN
    if (visible) {
      ASAN_UNPOISON_MEMORY_REGION(base, bytes);
    } else {
      ASAN_POISON_MEMORY_REGION(base, bytes);
    }
#endif
  }
};

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

struct capture {
  CUstream_st* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread = std::this_thread::get_id();
  bool broken = false;
  std::vector<node> nodes{};
};

// Objects behind handles. A handle that is not here was destroyed, or never made.
template <class T>
struct registry {
  std::vector<std::unique_ptr<T>> all;

  T* add(T value) { return all.emplace_back(std::make_unique<T>(std::move(value))).get(); }
  T* find(const T* handle) const {
    const auto at =
        std::find_if(all.begin(), all.end(), [&](auto& it) { return it.get() == handle; });
    return at != all.end() ? at->get() : nullptr;
  }
  bool remove(const T* handle) {
    return std::erase_if(all, [&](auto& it) { return it.get() == handle; }) > 0;
  }
};

}  // namespace

struct CUstream_st {
  int device = 0;
  bool blocking = true, legacy = false, gone = false;
  operation_pointer last{};
  std::size_t launches = 0;
  std::shared_ptr<capture> in{};
  std::vector<std::size_t> front{};  // the nodes that the next captured one comes after
};

struct CUevent_st {
  int device = 0;
  bool timed = true;
  operation_pointer recorded{};
  std::shared_ptr<capture> in{};
  std::vector<std::size_t> front{};
};

struct CUgraph_st {
  std::vector<node> nodes;
  std::weak_ptr<int> instance{};
};

struct CUgraphExec_st {
  std::vector<node> nodes;
  bool frees_on_launch = false;
  operation_pointer last{};
  std::shared_ptr<int> instance = std::make_shared<int>();
};

namespace {

struct injection {
  std::string name;
  cudaError_t error;
  std::size_t calls_left;
};

struct settings {
  int devices = 1, major = 9, minor = 0;
  bool no_image = false;
  std::size_t memory = std::size_t{1} << 30;
  std::size_t allocations_left = 0;  // until one fails; 0: none does
  cudaError_t poison = cudaSuccess;
  std::vector<injection> injections{};
};

struct world {
  std::recursive_mutex mutex;
  std::map<std::uintptr_t, std::shared_ptr<allocation>> memory;
  registry<CUstream_st> streams;
  registry<CUevent_st> events;
  registry<CUgraph_st> graphs;
  registry<CUgraphExec_st> execs;
  registry<CUmemPoolHandle_st> pools;
  settings set;
  cuda_emulator::counters count;
  std::vector<std::string> suspicions;
  std::size_t held_bytes = 0;  // of device memory whose free has not run yet too
  unsigned generation = 0;
  bool running = false;

  world() { cuda_emulator::detail::seed_order(1); }
};

// Never destroyed: a program may free its memory while it ends.
world& all = *new world;

struct host_thread {
  unsigned generation = 0;
  int device = 0;
  cudaError_t last_error = cudaSuccess;
};

host_thread& this_thread() {
  thread_local host_thread own;
  if (own.generation != all.generation) own = {all.generation, 0, cudaSuccess};
  return own;
}

void suspect(const std::string& sentence) {
  ++all.count.suspicious;
  all.suspicions.push_back(sentence);
}

template <class T>
void set(T settings::*which, T value) {
  const std::scoped_lock lock(all.mutex);
  all.set.*which = value;
}

template <class T>
cudaError_t give(T* to, const std::type_identity_t<T>& value) {
  if (to == nullptr) return cudaErrorInvalidValue;
  *to = value;
  return cudaSuccess;
}

// The frame of every call: the lock, failures that a test asked for, the last error.
template <bool NeedsDevice = true, class Body>
cudaError_t api(const char* name, const Body& body) {
  const std::scoped_lock lock(all.mutex);
  const auto answer = [&]() -> cudaError_t {
    if (all.set.poison != cudaSuccess) return all.set.poison;
    if (all.running) {
      suspect(std::string(name) + " was called by a host function of a stream, or by a kernel");
      return cudaErrorNotPermitted;
    }
    if (all.set.devices == 0 && NeedsDevice) return cudaErrorNoDevice;
    const auto asked = std::find_if(all.set.injections.begin(), all.set.injections.end(),
                                    [&](const injection& it) { return it.name == name; });
    if (asked != all.set.injections.end() && --asked->calls_left == 0) {
      const cudaError_t error = asked->error;
      all.set.injections.erase(asked);
      ++all.count.failures;
      if (std::strstr(name, "Synchronize") != nullptr) body();  // who fails to wait has waited
      return error;
    }
    return body();
  };
  const cudaError_t result = answer();
  if (result != cudaSuccess) this_thread().last_error = result;
  return result;
}

// Running what was put off

void show_memory(bool visible) {
  for (const auto& [at, memory] : all.memory) {
    if (memory->type == cudaMemoryTypeDevice) memory->show(visible && memory->usable);
    if (!visible) memory->check();
  }
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

void count_work(CUstream_st& stream, const work& what) {
  if (what.what == kind::launch) ++all.count.kernels, ++stream.launches;
  all.count.copies_host_to_device_bytes += what.to_device;
  all.count.copies_device_to_host_bytes += what.to_host;
}

CUstream_st& legacy(int device) {
  for (const auto& stream : all.streams.all) {
    if (stream->legacy && stream->device == device) return *stream;
  }
  return *all.streams.add({.device = device, .legacy = true});
}

operation_pointer make_operation(work_pointer what, std::vector<operation_pointer> after) {
  std::erase_if(after, [](const operation_pointer& it) { return it == nullptr || it->done; });
  for (std::size_t n = after.size(); n > 1; --n) {
    std::swap(after[cuda_emulator::detail::draw(static_cast<std::uint32_t>(n))], after[n - 1]);
  }
  std::reverse(after.begin(), after.end());  // run() takes the last one first
  return std::make_shared<operation>(std::move(what), std::move(after));
}

void enqueue(CUstream_st& stream, work_pointer what, std::vector<operation_pointer> after = {}) {
  count_work(stream, *what);
  after.push_back(stream.last);
  if (stream.legacy) {
    for (const auto& other : all.streams.all) {
      if (other->blocking && other->device == stream.device) after.push_back(other->last);
    }
  } else if (stream.blocking) {
    after.push_back(legacy(stream.device).last);
  }
  stream.last = make_operation(std::move(what), std::move(after));
}

// The operation that ends when all work of the stream so far has ended.
const operation_pointer& end_of(CUstream_st& stream) {
  if (stream.legacy) enqueue(stream, std::make_shared<work>());
  return stream.last;
}

void run_device(int device) {
  for (const auto& stream : all.streams.all) {
    if (stream->device == device) run(stream->last);
  }
}

// Handles and captures

CUstream_st* find_stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &legacy(this_thread().device);
  CUstream_st* found = all.streams.find(handle);
  return found != nullptr && !found->gone ? found : nullptr;
}

// The legacy stream would have to wait for a blocking stream that captures.
cudaError_t legacy_meets_capture(const CUstream_st& stream, bool breaks = true) {
  cudaError_t result = cudaSuccess;
  if (!stream.legacy) return result;
  for (const auto& other : all.streams.all) {
    if (other->in == nullptr || !other->blocking || other->device != stream.device) continue;
    if (breaks) other->in->broken = true;
    result = cudaErrorStreamCaptureImplicit;
  }
  return result;
}

// Calls that CUDA forbids to a thread, or to all, while a capture is not relaxed.
cudaError_t unsafe_in_capture(const char* call) {
  cudaError_t result = cudaSuccess;
  for (const auto& stream : all.streams.all) {
    if (stream->in == nullptr || stream->in->origin != stream.get()) continue;
    capture& in = *stream->in;
    const bool own = in.thread == std::this_thread::get_id();
    if (in.mode == cudaStreamCaptureModeGlobal ||
        (in.mode == cudaStreamCaptureModeThreadLocal && own)) {
      in.broken = true;
      result = cudaErrorStreamCaptureUnsupported;
    } else if (own) {
      suspect(std::string(call) + " during a relaxed capture");
    }
  }
  return result;
}

// What forbids the host to wait for, or to ask about, this stream.
cudaError_t cannot_wait(const CUstream_st& stream) {
  if (stream.in != nullptr) {
    stream.in->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return legacy_meets_capture(stream);
}

cudaError_t cannot_wait(const CUevent_st& event, const char* call) {
  if (event.in != nullptr) {
    event.in->broken = true;
    return cudaErrorCapturedEvent;
  }
  return unsafe_in_capture(call);
}

cudaError_t submit(CUstream_st& stream, work what) {
  if (stream.in != nullptr) {
    if (stream.in->broken) return cudaErrorStreamCaptureInvalidated;
    stream.in->nodes.push_back({std::make_shared<work>(std::move(what)), stream.front});
    stream.front = {stream.in->nodes.size() - 1};
    return cudaSuccess;
  }
  if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
  enqueue(stream, std::make_shared<work>(std::move(what)));
  return cudaSuccess;
}

template <class Body>
cudaError_t on_stream(const char* name, cudaStream_t handle, const Body& body) {
  return api(name, [&] {
    CUstream_st* stream = find_stream(handle);
    return stream != nullptr ? body(*stream) : cudaErrorInvalidResourceHandle;
  });
}

template <class Body>
cudaError_t on_event(const char* name, cudaEvent_t handle, const Body& body) {
  return api(name, [&] {
    CUevent_st* event = all.events.find(handle);
    return event != nullptr ? body(*event) : cudaErrorInvalidResourceHandle;
  });
}

// Whether `goal` has ended. If not it ends now, so that who asks again gets on.
cudaError_t query(const operation_pointer& goal) {
  if (goal == nullptr || goal->done) return cudaSuccess;
  const bool waits = goal->what->what != kind::nothing || !goal->after.empty();
  run(goal);
  return waits ? cudaErrorNotReady : cudaSuccess;
}

// Memory

allocation* holding(const void* pointer) {
  auto at = all.memory.upper_bound(reinterpret_cast<std::uintptr_t>(pointer));
  if (at == all.memory.begin()) return nullptr;
  allocation* found = std::prev(at)->second.get();
  return static_cast<const std::byte*>(pointer) < found->base + found->bytes ? found : nullptr;
}

enum class place { pageable, pinned, device, wrong };

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

// Ends the memory of a graph with the last node that knows it.
struct lease {
  allocation* memory;
  explicit lease(allocation* leased) : memory(leased) {}
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;
  ~lease() {
    account(*memory, false);
    forget(*memory);
  }
};

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

CUmemPoolHandle_st* default_pool(int device) {
  for (const auto& pool : all.pools.all) {
    if (pool->is_default && pool->device == device) return pool.get();
  }
  return all.pools.add({.device = device, .is_default = true});
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

bool contains(const std::vector<node>& nodes, kind what, const lease* memory) {
  return memory != nullptr && std::any_of(nodes.begin(), nodes.end(), [&](const node& it) {
           return it.what->what == what && it.what->memory.get() == memory;
         });
}

bool has_memory(const std::vector<node>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const node& it) { return it.what->memory != nullptr; });
}

bool fits(cudaMemcpyKind direction, place to, place from) {
  if (to == place::wrong || from == place::wrong) return false;
  const bool to_device = to == place::device, from_device = from == place::device;
  switch (direction) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

cudaError_t copy(CUstream_st& stream, void* to, const void* from, std::size_t bytes,
                 cudaMemcpyKind direction, bool waits) {
  if (bytes == 0) return cudaSuccess;
  const place target = place_of(to, bytes), source = place_of(from, bytes);
  if (!fits(direction, target, source)) return cudaErrorInvalidValue;
  std::vector<std::byte> staged;
  if (!waits && (target == place::pageable || source == place::pageable)) {
    if (stream.in != nullptr) {
      suspect("a capture of a copy of pageable memory: each launch will use that memory");
    } else {
      ++all.count.may_synchronize;
      const auto* first = static_cast<const std::byte*>(from);
      if (source == place::pageable) staged.assign(first, first + bytes);
    }
  }
  const bool to_device = target == place::device, from_device = source == place::device;
  return submit(stream, {.what = kind::copy,
                         .run =
                             [=, staged = std::move(staged)] {
                               require_usable(to, target, "a copy");
                               require_usable(from, source, "a copy");
                               std::memcpy(to, staged.empty() ? from : staged.data(), bytes);
                             },
                         .to_device = to_device && !from_device ? bytes : 0,
                         .to_host = from_device && !to_device ? bytes : 0});
}

cudaError_t fill(CUstream_st& stream, void* to, int value, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  const place target = place_of(to, bytes);
  if (target != place::device && target != place::pinned) return cudaErrorInvalidValue;
  return submit(stream, {.what = kind::fill, .run = [=] {
                           require_usable(to, target, "a memset");
                           std::memset(to, value, bytes);
                         }});
}

// What cudaMemcpy and cudaMemset do: the legacy stream, outside of captures.
template <class Body>
cudaError_t on_legacy(const char* name, const Body& body) {
  return on_stream(name, nullptr, [&](CUstream_st& stream) {
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    if (const cudaError_t refused = unsafe_in_capture(name)) return refused;
    return body(stream);
  });
}

bool valid(dim3 grid, dim3 block) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= 0x7fffffff && grid.y <= 65535 &&
         grid.z <= 65535 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads >= 1 &&
         threads <= 1024;
}

template <class Body>
cudaError_t on_device(const char* name, int device, const Body& body) {
  return api(name, [&] {
    return device >= 0 && device < all.set.devices ? body() : cudaErrorInvalidDevice;
  });
}

}  // namespace

namespace cuda_emulator {

void reset() {
  const std::scoped_lock lock(all.mutex);
  if (all.running) die("reset() was called by a host function of a stream");
  all.events.all.clear();
  all.execs.all.clear();
  all.graphs.all.clear();
  all.streams.all.clear();
  all.memory.clear();
  all.pools.all.clear();
  all.set = {};
  all.count = {};
  all.suspicions.clear();
  all.held_bytes = 0;
  ++all.generation;
  detail::seed_order(1);
}

counters statistics() {
  const std::scoped_lock lock(all.mutex);
  return all.count;
}

void reset_statistics() {
  const std::scoped_lock lock(all.mutex);
  const counters before = std::exchange(all.count, {});
  all.count.live_allocations = before.live_allocations;
  all.count.live_bytes = all.count.peak_bytes = before.live_bytes;
  all.count.live_pinned_allocations = before.live_pinned_allocations;
  all.suspicions.clear();
  for (const auto& stream : all.streams.all) stream->launches = 0;
}

std::string suspicions() {
  const std::scoped_lock lock(all.mutex);
  std::string text;
  for (const std::string& line : all.suspicions) text += line + "\n";
  return text;
}

std::size_t launches(cudaStream_t stream) {
  const std::scoped_lock lock(all.mutex);
  const CUstream_st* found = find_stream(stream);
  return found != nullptr ? found->launches : 0;
}

void fail_call(const std::string& name, cudaError_t error, std::size_t n) {
  const std::scoped_lock lock(all.mutex);
  std::erase_if(all.set.injections, [&](const injection& it) { return it.name == name; });
  if (error == cudaSuccess) return;
  all.set.injections.push_back({name, error, std::max<std::size_t>(n, 1)});
}

void shuffle(std::uint64_t seed) {
  const std::scoped_lock lock(all.mutex);
  detail::seed_order(seed);
}

void fail_allocation_after(std::size_t n) { set(&settings::allocations_left, n); }
void limit_memory(std::size_t bytes) { set(&settings::memory, bytes); }
void poison(cudaError_t error) { set(&settings::poison, error); }
void set_devices(int count) { set(&settings::devices, count); }
void set_capability(int major, int minor) {
  set(&settings::major, major);
  set(&settings::minor, minor);
}
void set_no_kernel_image(bool missing) { set(&settings::no_image, missing); }

cudaError_t detail::launch(const cudaLaunchConfig_t* shape, std::shared_ptr<const kernel> what,
                           const std::vector<const void*>& pointers) {
  if (shape == nullptr) return api("cudaLaunchKernelEx", [] { return cudaErrorInvalidValue; });
  return on_stream("cudaLaunchKernelEx", shape->stream, [&](CUstream_st& stream) {
    if (stream.device != this_thread().device) return cudaErrorInvalidResourceHandle;
    if (!valid(shape->gridDim, shape->blockDim)) return cudaErrorInvalidConfiguration;
    if (shape->dynamicSmemBytes > std::size_t{48} << 10) return cudaErrorInvalidValue;
    if (shape->numAttrs != 0) return cudaErrorNotSupported;
    if (all.set.no_image) return cudaErrorNoKernelImageForDevice;
    for (const void* pointer : pointers) {
      // An end of an array counts as part of it.
      if (pointer == nullptr || place_of(pointer, 0) == place::device ||
          place_of(pointer, 0) == place::pinned ||
          holding(static_cast<const std::byte*>(pointer) - 1) != nullptr) {
        continue;
      }
      suspect("a kernel was given a pointer to memory that is not the device's");
    }
    return submit(stream, {kind::launch, [what, grid = shape->gridDim, block = shape->blockDim] {
                             run_grid(*what, grid, block);
                           }});
  });
}

}  // namespace cuda_emulator

// Errors

namespace {

struct error_text {
  cudaError_t error;
  const char *name, *text;
};
constexpr error_text error_texts[] = {
#define ZO_CUDA_TEXT(name, value, text) {name, #name, text},
    ZO_CUDA_ERRORS(ZO_CUDA_TEXT)
#undef ZO_CUDA_TEXT
};

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  for (const error_text& it : error_texts) {
    if (it.error == error) return it.name;
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  for (const error_text& it : error_texts) {
    if (it.error == error) return it.text;
  }
  return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() {
  const std::scoped_lock lock(all.mutex);
  return all.set.poison != cudaSuccess ? all.set.poison : this_thread().last_error;
}

cudaError_t cudaGetLastError() {
  const std::scoped_lock lock(all.mutex);
  const cudaError_t error = cudaPeekAtLastError();
  this_thread().last_error = cudaSuccess;
  return error;
}

// Devices

cudaError_t cudaGetDeviceCount(int* count) {
  if (count != nullptr) *count = 0;
  return api(__func__, [&] { return give(count, all.set.devices); });
}

cudaError_t cudaGetDevice(int* device) {
  return api(__func__, [&] { return give(device, this_thread().device); });
}

cudaError_t cudaSetDevice(int device) {
  return on_device(__func__, device, [&] {
    this_thread().device = device;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return on_device(__func__, device, [&] {
    const std::pair<cudaDeviceAttr, int> values[] = {
        {cudaDevAttrMaxThreadsPerBlock, 1024},
        {cudaDevAttrMaxBlockDimX, 1024},
        {cudaDevAttrMaxBlockDimY, 1024},
        {cudaDevAttrMaxBlockDimZ, 64},
        {cudaDevAttrMaxGridDimX, 0x7fffffff},
        {cudaDevAttrMaxGridDimY, 65535},
        {cudaDevAttrMaxGridDimZ, 65535},
        {cudaDevAttrMaxSharedMemoryPerBlock, 48 << 10},
        {cudaDevAttrWarpSize, warpSize},
        {cudaDevAttrMultiProcessorCount, processors},
        {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
        {cudaDevAttrUnifiedAddressing, 1},
        {cudaDevAttrComputeCapabilityMajor, all.set.major},
        {cudaDevAttrComputeCapabilityMinor, all.set.minor},
        {cudaDevAttrManagedMemory, 0},
        {cudaDevAttrPageableMemoryAccess, 0},
        {cudaDevAttrConcurrentManagedAccess, 0},
        {cudaDevAttrMemoryPoolsSupported, 1}};
    const auto* found = std::find_if(std::begin(values), std::end(values),
                                     [&](const auto& it) { return it.first == attribute; });
    return found != std::end(values) ? give(value, found->second) : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return on_device(__func__, device, [&] {
    const cudaDeviceProp answer{.name = "zo CUDA emulator",
                                .totalGlobalMem = all.set.memory,
                                .sharedMemPerBlock = 48 << 10,
                                .major = all.set.major,
                                .minor = all.set.minor,
                                .multiProcessorCount = processors,
                                .warpSize = warpSize,
                                .maxThreadsPerBlock = 1024,
                                .maxThreadsDim = {1024, 1024, 64},
                                .maxGridSize = {0x7fffffff, 65535, 65535},
                                .maxThreadsPerMultiProcessor = 2048,
                                .unifiedAddressing = 1,
                                .managedMemory = 0,
                                .pageableMemoryAccess = 0,
                                .memoryPoolsSupported = 1};
    return give(properties, answer);
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  return api<false>(__func__, [&] { return give(version, CUDART_VERSION); });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return api<false>(__func__, [&] { return give(version, CUDART_VERSION); });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return api(__func__, [&] {
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    if (all.set.no_image) return cudaErrorNoKernelImageForDevice;
    const int version = 10 * all.set.major + all.set.minor;
    const cudaFuncAttributes answer{.sharedSizeBytes = 0,
                                    .constSizeBytes = 0,
                                    .localSizeBytes = 0,
                                    .maxThreadsPerBlock = 1024,
                                    .numRegs = 32,
                                    .ptxVersion = version,
                                    .binaryVersion = version};
    return give(attributes, answer);
  });
}

cudaError_t cudaDeviceSynchronize() {
  return api(__func__, [] {
    bool captures = false;
    for (const auto& stream : all.streams.all) {
      if (stream->in != nullptr) captures = stream->in->broken = true;
    }
    if (captures) return cudaErrorStreamCaptureUnsupported;
    ++all.count.synchronizations;
    run_device(this_thread().device);
    return cudaSuccess;
  });
}

// Streams

namespace {

cudaError_t create_stream(const char* name, cudaStream_t* stream, unsigned flags) {
  return api(name, [&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    std::erase_if(all.streams.all, [](const auto& it) {
      return it->gone && (it->last == nullptr || it->last->done);
    });
    return give(stream, all.streams.add({.device = this_thread().device,
                                         .blocking = flags == cudaStreamDefault}));
  });
}

cudaError_t create_event(const char* name, cudaEvent_t* event, unsigned flags) {
  return api(name, [&] {
    if (flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return cudaErrorInvalidValue;
    return give(event, all.events.add({.device = this_thread().device,
                                       .timed = (flags & cudaEventDisableTiming) == 0}));
  });
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create_stream(__func__, stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return create_stream(__func__, stream, flags);
}

// Returns at once; work that is pending still belongs to the device.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (stream.legacy) return cudaErrorInvalidResourceHandle;
    if (stream.in != nullptr) return cannot_wait(stream);
    stream.gone = true;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (const cudaError_t refused = cannot_wait(stream)) return refused;
    ++all.count.synchronizations;
    run(end_of(stream));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (const cudaError_t refused = cannot_wait(stream)) return refused;
    return query(end_of(stream));
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    const CUevent_st* event = all.events.find(event_handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags != 0) return cudaErrorInvalidValue;
    if (event->in != nullptr) {
      const std::shared_ptr<capture>& in = event->in;
      if (in->origin == nullptr) return cudaErrorCapturedEvent;  // that capture has ended
      if (in->broken) return cudaErrorStreamCaptureInvalidated;
      if (stream.in != nullptr && stream.in != in) {
        stream.in->broken = in->broken = true;
        return cudaErrorStreamCaptureMerge;
      }
      if (stream.legacy) {
        in->broken = true;
        return cudaErrorStreamCaptureImplicit;
      }
      stream.in = in;
      for (const std::size_t it : event->front) {
        if (std::find(stream.front.begin(), stream.front.end(), it) == stream.front.end()) {
          stream.front.push_back(it);
        }
      }
      return cudaSuccess;
    }
    if (event->recorded == nullptr) return cudaSuccess;
    if (stream.in != nullptr) {
      stream.in->broken = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    enqueue(stream, std::make_shared<work>(), {event->recorded});
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (const cudaError_t refused = legacy_meets_capture(stream, false)) return refused;
    return give(status, stream.in == nullptr ? cudaStreamCaptureStatusNone
                        : stream.in->broken  ? cudaStreamCaptureStatusInvalidated
                                             : cudaStreamCaptureStatusActive);
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (stream.legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream.in != nullptr) return cudaErrorIllegalState;
    stream.in = std::make_shared<capture>(capture{&stream, mode});
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    const std::shared_ptr<capture> in = stream.in;
    if (in == nullptr) return cudaErrorIllegalState;
    if (in->origin != &stream) {
      in->broken = true;
      return cudaErrorStreamCaptureUnmatched;
    }
    if (in->mode != cudaStreamCaptureModeRelaxed && in->thread != std::this_thread::get_id()) {
      in->broken = true;
      return cudaErrorStreamCaptureWrongThread;
    }
    // Every node must come before another one, or before what this stream would do next.
    std::vector<bool> joined(in->nodes.size(), false);
    for (const std::size_t it : stream.front) joined[it] = true;
    for (const node& it : in->nodes) {
      for (const std::size_t before : it.after) joined[before] = true;
    }
    for (const auto& other : all.streams.all) {
      if (other->in != in) continue;
      other->in = nullptr;
      other->front.clear();
    }
    in->origin = nullptr;
    if (in->broken) return cudaErrorStreamCaptureInvalidated;
    if (std::find(joined.begin(), joined.end(), false) != joined.end()) {
      return cudaErrorStreamCaptureUnjoined;
    }
    *graph = all.graphs.add({.nodes = std::move(in->nodes)});
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (function == nullptr) return cudaErrorInvalidValue;
    return submit(stream, {kind::host, [=] { function(data); }});
  });
}

// Events

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return create_event(__func__, event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return create_event(__func__, event, flags);
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    CUevent_st* event = all.events.find(event_handle);
    if (event == nullptr || event->device != stream.device) return cudaErrorInvalidResourceHandle;
    if (stream.in != nullptr) {
      if (stream.in->broken) return cudaErrorStreamCaptureInvalidated;
      event->in = stream.in;
      event->front = stream.front;
      event->recorded = nullptr;
      return cudaSuccess;
    }
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    enqueue(stream, std::make_shared<work>());
    event->in = nullptr;
    event->recorded = stream.last;
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return on_event(__func__, handle, [](const CUevent_st& event) {
    if (const cudaError_t refused = cannot_wait(event, "cudaEventSynchronize")) return refused;
    ++all.count.synchronizations;
    run(event.recorded);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return on_event(__func__, handle, [](const CUevent_st& event) {
    if (const cudaError_t refused = cannot_wait(event, "cudaEventQuery")) return refused;
    return query(event.recorded);
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return on_event(__func__, start, [&](const CUevent_st& first) {
    const CUevent_st* last = all.events.find(end);
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    if (last == nullptr) return cudaErrorInvalidResourceHandle;
    if (first.in != nullptr || last->in != nullptr) return cudaErrorCapturedEvent;
    for (const CUevent_st* event : {&first, last}) {
      if (!event->timed || event->recorded == nullptr) return cudaErrorInvalidResourceHandle;
    }
    if (!first.recorded->done || !last->recorded->done) return cudaErrorNotReady;
    *milliseconds =
        std::chrono::duration<float, std::milli>(last->recorded->when - first.recorded->when)
            .count();
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api(__func__, [&] {
    return all.events.remove(event) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

// Graphs

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

// Memory

namespace {

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

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind direction) {
  return on_legacy(__func__, [&](CUstream_st& stream) {
    const bool on_device = place_of(to, 0) == place::device && place_of(from, 0) == place::device;
    const cudaError_t refused = copy(stream, to, from, bytes, direction, true);
    if (refused != cudaSuccess || bytes == 0) return refused;
    ++(on_device ? all.count.may_synchronize : all.count.synchronizations);
    if (!on_device) run(stream.last);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind direction,
                            cudaStream_t handle) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    return copy(stream, to, from, bytes, direction, false);
  });
}

// Does not wait: the host gets on while a device fills its own memory.
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return on_legacy(__func__, [&](CUstream_st& stream) {
    ++all.count.may_synchronize;
    return fill(stream, to, value, bytes);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t handle) {
  return on_stream(__func__, handle,
                   [&](CUstream_st& stream) { return fill(stream, to, value, bytes); });
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

// Pools

namespace {

template <class Body>
cudaError_t on_pool(const char* name, cudaMemPool_t handle, const Body& body) {
  return api(name, [&] {
    CUmemPoolHandle_st* pool = all.pools.find(handle);
    return pool != nullptr && !pool->gone ? body(*pool) : cudaErrorInvalidValue;
  });
}

}  // namespace

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  return api(__func__, [&] {
    if (pool == nullptr || properties == nullptr ||
        properties->allocType != cudaMemAllocationTypePinned ||
        properties->location.type != cudaMemLocationTypeDevice || properties->location.id < 0 ||
        properties->location.id >= all.set.devices) {
      return cudaErrorInvalidValue;
    }
    *pool = all.pools.add({.device = properties->location.id});
    if (properties->maxSize != 0) (*pool)->most = properties->maxSize;
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return on_pool(__func__, handle, [](CUmemPoolHandle_st& pool) {
    if (pool.is_default) return cudaErrorInvalidValue;
    pool.gone = true;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return on_device(__func__, device, [&] { return give(pool, default_pool(device)); });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return on_pool(__func__, handle, [&](CUmemPoolHandle_st& pool) {
    if (value == nullptr) return cudaErrorInvalidValue;
    std::uint64_t& is = pool.values.at(attribute);
    if (attribute < cudaMemPoolAttrReleaseThreshold) {
      is = static_cast<std::uint64_t>(*static_cast<int*>(value));
    } else if (attribute == cudaMemPoolAttrReleaseThreshold) {
      is = *static_cast<std::uint64_t*>(value);
    } else {
      const bool high =
          attribute == cudaMemPoolAttrReservedMemHigh || attribute == cudaMemPoolAttrUsedMemHigh;
      if (!high || *static_cast<std::uint64_t*>(value) != 0) return cudaErrorInvalidValue;
      is = pool.values[cudaMemPoolAttrUsedMemCurrent];
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return on_pool(__func__, handle, [&](const CUmemPoolHandle_st& pool) {
    if (value == nullptr) return cudaErrorInvalidValue;
    const std::uint64_t is = pool.values.at(attribute);
    if (attribute < cudaMemPoolAttrReleaseThreshold) {
      *static_cast<int*>(value) = static_cast<int>(is);
    } else {
      *static_cast<std::uint64_t*>(value) = is;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, std::size_t) {
  return on_pool(__func__, handle, [](CUmemPoolHandle_st&) { return cudaSuccess; });
}
