// Events.
#include <chrono>
#include <memory>

#include "capture.hpp"
#include "runtime.hpp"
#include "stream.hpp"

namespace {

using namespace cuda_emulator::detail;

template <class Body>
cudaError_t on_event(const char* name, cudaEvent_t handle, const Body& body) {
  return api(name, [&] {
    CUevent_st* event = all.events.find(handle);
    return event != nullptr ? body(*event) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t create_event(const char* name, cudaEvent_t* event, unsigned flags) {
  return api(name, [&] {
    if (flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return cudaErrorInvalidValue;
    return give(event, all.events.add({.device = this_thread().device,
                                       .timed = (flags & cudaEventDisableTiming) == 0}));
  });
}

}  // namespace

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return create_event(__func__, event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return create_event(__func__, event, flags);
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    CUevent_st* event = all.events.find(event_handle);
    if (event == nullptr || event->device != stream.device) return cudaErrorInvalidResourceHandle;
    if (stream.in != nullptr) {
      if (stream.in->broken) return cudaErrorStreamCaptureInvalidated;
      event->in = stream.in;
      event->front = stream.front;
      event->recorded = nullptr;
      return cudaSuccess;
    }
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    enqueue(stream, std::make_shared<work>());
    event->in = nullptr;
    event->recorded = stream.last;
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return on_event(__func__, handle, [](const CUevent_st& event) {
    if (const cudaError_t refused = cannot_wait(event, "cudaEventSynchronize")) return refused;
    ++all.count.synchronizations;
    run(event.recorded);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return on_event(__func__, handle, [](const CUevent_st& event) {
    if (const cudaError_t refused = cannot_wait(event, "cudaEventQuery")) return refused;
    return query(event.recorded);
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return on_event(__func__, start, [&](const CUevent_st& first) {
    const CUevent_st* last = all.events.find(end);
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    if (last == nullptr) return cudaErrorInvalidResourceHandle;
    if (first.in != nullptr || last->in != nullptr) return cudaErrorCapturedEvent;
    for (const CUevent_st* event : {&first, last}) {
      if (!event->timed || event->recorded == nullptr) return cudaErrorInvalidResourceHandle;
    }
    if (!first.recorded->done || !last->recorded->done) return cudaErrorNotReady;
    *milliseconds =
        std::chrono::duration<float, std::milli>(last->recorded->when - first.recorded->when)
            .count();
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api(__func__, [&] {
    return all.events.remove(event) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}
