// Launches of kernels.
#include "block.hpp"
#include "memory.hpp"
#include "stream.hpp"

namespace cuda_emulator::detail {

namespace {

bool valid(dim3 grid, dim3 block) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= 0x7fffffff && grid.y <= 65535 &&
         grid.z <= 65535 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads >= 1 &&
         threads <= 1024;
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t* shape, std::shared_ptr<const kernel> what,
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

}  // namespace cuda_emulator::detail
