// What captures of streams forbid.
#pragma once

#include "runtime.hpp"

namespace cuda_emulator::detail {

// The legacy stream would have to wait for a blocking stream that captures.
cudaError_t legacy_meets_capture(const CUstream_st& stream, bool breaks = true);

// Calls that CUDA forbids to a thread, or to all, while a capture is not relaxed.
cudaError_t unsafe_in_capture(const char* call);

// What forbids the host to wait for, or to ask about, this stream.
cudaError_t cannot_wait(const CUstream_st& stream);

cudaError_t cannot_wait(const CUevent_st& event, const char* call);

}  // namespace cuda_emulator::detail
