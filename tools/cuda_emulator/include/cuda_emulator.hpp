// How a test steers the CUDA emulator and what it may ask of it. One device of capability 9.0 with
// 1 GiB; everything a stream is given is put off until the host waits for it.
//
// What it cannot show: a thread runs without a break from one barrier to the next, so an update
// that should be atomic is not seen to be torn, and a thread that spins for another one hangs.
// Shared memory keeps what the block before left there. Limits of registers, shared memory and
// __launch_bounds__ are not checked. A pointer to host memory is noticed as an argument of a
// kernel, not inside a struct.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda_runtime_api.h"

namespace cuda_emulator {

/// What was asked of the device since the last reset. Work is counted when it is enqueued, work of
/// a graph at each launch of the graph; memory when the call is made, not when stream order gets
/// there.
struct counters {
  std::size_t kernels = 0;
  std::size_t synchronizations = 0;  ///< calls that block the host
  std::size_t may_synchronize = 0;   ///< calls that block it on some devices or for some arguments
  std::size_t suspicious = 0;  ///< calls that are no error here but rarely meant: suspicions()
  std::size_t failures = 0;    ///< calls failed by fail_call or fail_allocation_after
  std::size_t live_allocations = 0;  ///< of device memory; that of a graph until the graph is gone
  std::size_t live_bytes = 0;
  std::size_t peak_bytes = 0;
  std::size_t live_pinned_allocations = 0;
  std::size_t copies_host_to_device_bytes = 0;
  std::size_t copies_device_to_host_bytes = 0;
};

/// A new process: streams, memory and pending work are gone, every setting is at its default.
void reset();

counters statistics();

/// Counts from 0 again; live memory stays, and is the new peak.
void reset_statistics();

/// A sentence for each suspicious call, one a line.
std::string suspicions();

/// Kernels enqueued on `stream`, those of its graphs included.
std::size_t launches(cudaStream_t stream);

/// The n-th allocation from now on, device or pinned, fails once; 1 is the next one, 0 takes it
/// back.
void fail_allocation_after(std::size_t n);

/// Device memory in all. An allocation beyond it fails.
void limit_memory(std::size_t bytes);

/// The n-th call of `name` from now on returns `error` once and does nothing; 1 is the next one.
/// Only a synchronization that fails has waited all the same, as one that reports an earlier fault.
/// A later request for the same name takes the place of this one; cudaSuccess takes it back.
void fail_call(const std::string& name, cudaError_t error, std::size_t n = 1);

/// Every later call returns `error`, and pending work never runs, as after a fault of a kernel.
void poison(cudaError_t error);

void set_devices(int count);
void set_capability(int major, int minor);

/// With true, launches and cudaFuncGetAttributes find no code for the device.
void set_no_kernel_image(bool missing);

/// The order of blocks, of threads between barriers, and of operations that do not depend on each
/// other: 0 is the natural one, every other seed a pseudo-random one. 1 after reset().
void shuffle(std::uint64_t seed);

}  // namespace cuda_emulator
