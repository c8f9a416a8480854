// Devices and errors.
#include <algorithm>
#include <iterator>
#include <utility>

#include "runtime.hpp"
#include "stream.hpp"

namespace {

using namespace cuda_emulator::detail;

constexpr int processors = 4;

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
