// What a .cu file sees beyond cuda_runtime_api.h: launches, and the device side of a kernel.
#pragma once

#include <math.h>

#include <concepts>
#include <cstdint>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"

namespace cuda_emulator::detail {

/// A kernel with its arguments; run_thread() is one thread of it.
struct kernel {
  virtual ~kernel() = default;
  virtual void run_thread() const = 0;
};

template <class... Parameters>
struct call final : kernel {
  call(void (*which)(Parameters...), Parameters... values)
      : function(which), arguments(values...) {}
  void run_thread() const override { std::apply(function, arguments); }

  void (*function)(Parameters...);
  std::tuple<Parameters...> arguments;  // each thread gets copies, as from constant memory
};

cudaError_t launch(const cudaLaunchConfig_t* shape, std::shared_ptr<const kernel> what,
                   const std::vector<const void*>& pointers);

// Waits until all threads of the block are here; the number of them whose predicate holds.
unsigned barrier(bool predicate, const char* name, const char* file, int line);

// Waits for the lanes of `mask`; the value that lane `from` brought.
std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned from, const char* name,
                       const char* file, int line);
unsigned lane();

template <class T>
T shuffle(unsigned mask, T value, unsigned from, const char* name, const char* file, int line) {
  static_assert(std::is_arithmetic_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, from, name, file, line);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace cuda_emulator::detail

// Not const as in CUDA: a compiler may keep what is const across a barrier.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

#define ZO_CUDA_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(ZO_CUDA_HERE) {
  cuda_emulator::detail::barrier(false, "__syncthreads", file, line);
}

inline int __syncthreads_count(int predicate, ZO_CUDA_HERE) {
  return static_cast<int>(
      cuda_emulator::detail::barrier(predicate != 0, "__syncthreads_count", file, line));
}

inline int __syncthreads_or(int predicate, ZO_CUDA_HERE) {
  return cuda_emulator::detail::barrier(predicate != 0, "__syncthreads_or", file, line) != 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffU, ZO_CUDA_HERE) {
  cuda_emulator::detail::exchange(mask, 0, cuda_emulator::detail::lane(), "__syncwarp", file, line);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = warpSize, ZO_CUDA_HERE) {
  const unsigned lane = cuda_emulator::detail::lane();
  const unsigned last = lane | (static_cast<unsigned>(width) - 1);
  const unsigned from = lane + by > last ? lane : lane + by;
  return cuda_emulator::detail::shuffle(mask, value, from, "__shfl_down_sync", file, line);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, int width = warpSize, ZO_CUDA_HERE) {
  const unsigned lane = cuda_emulator::detail::lane();
  const unsigned last = lane | (static_cast<unsigned>(width) - 1);
  const unsigned other = lane ^ static_cast<unsigned>(with);
  const unsigned from = other > last ? lane : other;
  return cuda_emulator::detail::shuffle(mask, value, from, "__shfl_xor_sync", file, line);
}

#undef ZO_CUDA_HERE

// mma.m16n8k16 of bfloat16 with sums in float, by all lanes of a warp: which lane holds what is in
// the PTX manual ("Matrix Fragments for mma.m16n8k16"). The 17 terms of a number are added in
// double and rounded once; a GPU keeps fewer digits.
void mma_m16n8k16_bfloat16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                           const char* file = __builtin_FILE(), int line = __builtin_LINE());

inline void __threadfence() {}

template <class T>
requires(std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long> ||
         std::same_as<T, float> || std::same_as<T, double>) T
    atomicAdd(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  if constexpr (std::same_as<T, int>) {
    *to = static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value));
  } else {
    *to = old + value;
  }
  return old;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* shape, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "CUDA copies the bytes of a kernel's arguments");
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "a kernel has 4 KiB for its arguments");
  std::vector<const void*> pointers;
  const auto note = [&](const auto& value) {
    if constexpr (std::is_convertible_v<decltype(value), const void*>) pointers.push_back(value);
  };
  (note(static_cast<Parameters>(arguments)), ...);
  return cuda_emulator::detail::launch(shape,
                                       std::make_shared<cuda_emulator::detail::call<Parameters...>>(
                                           kernel, std::forward<Arguments>(arguments)...),
                                       pointers);
}

template <class T>
requires std::is_function_v<T> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes,
                                                                 T* kernel) {
  return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(kernel));
}

template <class T>
cudaError_t cudaMalloc(T** pointer, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(pointer), bytes);
}

template <class T>
cudaError_t cudaMallocHost(T** pointer, std::size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(pointer), bytes);
}

template <class T>
cudaError_t cudaMallocAsync(T** pointer, std::size_t bytes, cudaStream_t stream) {
  return cudaMallocAsync(reinterpret_cast<void**>(pointer), bytes, stream);
}

template <class T>
cudaError_t cudaMallocFromPoolAsync(T** pointer, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return cudaMallocFromPoolAsync(reinterpret_cast<void**>(pointer), bytes, pool, stream);
}

template <class T>
cudaError_t cudaMallocAsync(T** pointer, std::size_t bytes, cudaMemPool_t pool,
                            cudaStream_t stream) {
  return cudaMallocFromPoolAsync(reinterpret_cast<void**>(pointer), bytes, pool, stream);
}
