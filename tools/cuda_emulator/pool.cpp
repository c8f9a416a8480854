// Pools of memory.
#include "memory.hpp"
#include "runtime.hpp"

namespace cuda_emulator::detail {

CUmemPoolHandle_st* default_pool(int device) {
  for (const auto& pool : all.pools.all) {
    if (pool->is_default && pool->device == device) return pool.get();
  }
  return all.pools.add({.device = device, .is_default = true});
}

}  // namespace cuda_emulator::detail

namespace {

using namespace cuda_emulator::detail;

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
