// Copies and fills.
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "capture.hpp"
#include "memory.hpp"
#include "runtime.hpp"
#include "stream.hpp"

namespace {

using namespace cuda_emulator::detail;

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

}  // namespace

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
