#include "capture.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stream.hpp"

namespace cuda_emulator::detail {

cudaError_t legacy_meets_capture(const CUstream_st& stream, bool breaks) {
  cudaError_t result = cudaSuccess;
  if (!stream.legacy) return result;
  for (const auto& other : all.streams.all) {
    if (other->in == nullptr || !other->blocking || other->device != stream.device) continue;
    if (breaks) other->in->broken = true;
    result = cudaErrorStreamCaptureImplicit;
  }
  return result;
}

cudaError_t unsafe_in_capture(const char* call) {
  cudaError_t result = cudaSuccess;
  for (const auto& stream : all.streams.all) {
    if (stream->in == nullptr || stream->in->origin != stream.get()) continue;
    capture& in = *stream->in;
    const bool own = in.thread == std::this_thread::get_id();
    if (in.mode == cudaStreamCaptureModeGlobal ||
        (in.mode == cudaStreamCaptureModeThreadLocal && own)) {
      in.broken = true;
      result = cudaErrorStreamCaptureUnsupported;
    } else if (own) {
      suspect(std::string(call) + " during a relaxed capture");
    }
  }
  return result;
}

cudaError_t cannot_wait(const CUstream_st& stream) {
  if (stream.in != nullptr) {
    stream.in->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return legacy_meets_capture(stream);
}

cudaError_t cannot_wait(const CUevent_st& event, const char* call) {
  if (event.in != nullptr) {
    event.in->broken = true;
    return cudaErrorCapturedEvent;
  }
  return unsafe_in_capture(call);
}

}  // namespace cuda_emulator::detail

using namespace cuda_emulator::detail;

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (const cudaError_t refused = legacy_meets_capture(stream, false)) return refused;
    return give(status, stream.in == nullptr ? cudaStreamCaptureStatusNone
                        : stream.in->broken  ? cudaStreamCaptureStatusInvalidated
                                             : cudaStreamCaptureStatusActive);
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (stream.legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream.in != nullptr) return cudaErrorIllegalState;
    stream.in = std::make_shared<capture>(capture{&stream, mode});
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    const std::shared_ptr<capture> in = stream.in;
    if (in == nullptr) return cudaErrorIllegalState;
    if (in->origin != &stream) {
      in->broken = true;
      return cudaErrorStreamCaptureUnmatched;
    }
    if (in->mode != cudaStreamCaptureModeRelaxed && in->thread != std::this_thread::get_id()) {
      in->broken = true;
      return cudaErrorStreamCaptureWrongThread;
    }
    // Every node must come before another one, or before what this stream would do next.
    std::vector<bool> joined(in->nodes.size(), false);
    for (const std::size_t it : stream.front) joined[it] = true;
    for (const node& it : in->nodes) {
      for (const std::size_t before : it.after) joined[before] = true;
    }
    for (const auto& other : all.streams.all) {
      if (other->in != in) continue;
      other->in = nullptr;
      other->front.clear();
    }
    in->origin = nullptr;
    if (in->broken) return cudaErrorStreamCaptureInvalidated;
    if (std::find(joined.begin(), joined.end(), false) != joined.end()) {
      return cudaErrorStreamCaptureUnjoined;
    }
    *graph = all.graphs.add({.nodes = std::move(in->nodes)});
    return cudaSuccess;
  });
}
