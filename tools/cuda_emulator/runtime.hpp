// What stands behind the calls: the objects of all handles, and the frame of every call.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "block.hpp"
#include "cuda_emulator.hpp"
#include "operation.hpp"

namespace cuda_emulator::detail {

struct allocation;

struct capture {
  CUstream_st* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread = std::this_thread::get_id();
  bool broken = false;
  std::vector<node> nodes{};
};

}  // namespace cuda_emulator::detail

struct CUmemPoolHandle_st {
  int device = 0;
  std::size_t most = std::numeric_limits<std::size_t>::max();
  bool is_default = false, gone = false;
  std::array<std::uint64_t, 9> values{0, 1, 1, 1};  // by cudaMemPoolAttr
};

struct CUstream_st {
  int device = 0;
  bool blocking = true, legacy = false, gone = false;
  cuda_emulator::detail::operation_pointer last{};
  std::size_t launches = 0;
  std::shared_ptr<cuda_emulator::detail::capture> in{};
  std::vector<std::size_t> front{};  // the nodes that the next captured one comes after
};

struct CUevent_st {
  int device = 0;
  bool timed = true;
  cuda_emulator::detail::operation_pointer recorded{};
  std::shared_ptr<cuda_emulator::detail::capture> in{};
  std::vector<std::size_t> front{};
};

struct CUgraph_st {
  std::vector<cuda_emulator::detail::node> nodes;
  std::weak_ptr<int> instance{};
};

struct CUgraphExec_st {
  std::vector<cuda_emulator::detail::node> nodes;
  bool frees_on_launch = false;
  cuda_emulator::detail::operation_pointer last{};
  std::shared_ptr<int> instance = std::make_shared<int>();
};

namespace cuda_emulator::detail {

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
  counters count;
  std::vector<std::string> suspicions;
  std::size_t held_bytes = 0;  // of device memory whose free has not run yet too
  unsigned generation = 0;
  bool running = false;

  world() { seed_order(1); }
};

extern world& all;

struct host_thread {
  unsigned generation = 0;
  int device = 0;
  cudaError_t last_error = cudaSuccess;
};

host_thread& this_thread();

void suspect(const std::string& sentence);

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

template <class Body>
cudaError_t on_device(const char* name, int device, const Body& body) {
  return api(name, [&] {
    return device >= 0 && device < all.set.devices ? body() : cudaErrorInvalidDevice;
  });
}

}  // namespace cuda_emulator::detail
