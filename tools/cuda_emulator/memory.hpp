// Allocations, and what may be done with a pointer.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "block.hpp"
#include "cuda_runtime_api.h"

#ifdef ZO_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_emulator::detail {

// Device memory is aligned to this, and without AddressSanitizer has as many marked bytes at each
// end.
inline constexpr std::size_t margin = 256;
inline constexpr unsigned char canary = 0xa5;
inline constexpr int unset = 0xff;  // fills new memory: NaNs

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

// Ends the memory of a graph with the last node that knows it.
struct lease {
  allocation* memory;
  explicit lease(allocation* leased) : memory(leased) {}
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;
  ~lease();
};

enum class place { pageable, pinned, device, wrong };

allocation* holding(const void* pointer);

place place_of(const void* pointer, std::size_t bytes);

void require_usable(const void* pointer, place expected, const char* operation);

void show_memory(bool visible);

// Counts memory as in use, or no longer.
void account(const allocation& memory, bool live);
void forget(const allocation& memory);

CUmemPoolHandle_st* default_pool(int device);

}  // namespace cuda_emulator::detail
