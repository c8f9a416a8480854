// The order of work on streams.
#pragma once

#include <vector>

#include "operation.hpp"
#include "runtime.hpp"

namespace cuda_emulator::detail {

void count_work(CUstream_st& stream, const work& what);

void enqueue(CUstream_st& stream, work_pointer what, std::vector<operation_pointer> after = {});

// The operation that ends when all work of the stream so far has ended.
const operation_pointer& end_of(CUstream_st& stream);

void run_device(int device);

CUstream_st* find_stream(cudaStream_t handle);

cudaError_t submit(CUstream_st& stream, work what);

template <class Body>
cudaError_t on_stream(const char* name, cudaStream_t handle, const Body& body) {
  return api(name, [&] {
    CUstream_st* stream = find_stream(handle);
    return stream != nullptr ? body(*stream) : cudaErrorInvalidResourceHandle;
  });
}

}  // namespace cuda_emulator::detail
