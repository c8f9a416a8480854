#include "stream.hpp"

#include <algorithm>
#include <memory>

#include "capture.hpp"

namespace cuda_emulator::detail {

namespace {

CUstream_st& legacy(int device) {
  for (const auto& stream : all.streams.all) {
    if (stream->legacy && stream->device == device) return *stream;
  }
  return *all.streams.add({.device = device, .legacy = true});
}

}  // namespace

void count_work(CUstream_st& stream, const work& what) {
  if (what.what == kind::launch) ++all.count.kernels, ++stream.launches;
  all.count.copies_host_to_device_bytes += what.to_device;
  all.count.copies_device_to_host_bytes += what.to_host;
}

void enqueue(CUstream_st& stream, work_pointer what, std::vector<operation_pointer> after) {
  count_work(stream, *what);
  after.push_back(stream.last);
  if (stream.legacy) {
    for (const auto& other : all.streams.all) {
      if (other->blocking && other->device == stream.device) after.push_back(other->last);
    }
  } else if (stream.blocking) {
    after.push_back(legacy(stream.device).last);
  }
  stream.last = make_operation(std::move(what), std::move(after));
}

const operation_pointer& end_of(CUstream_st& stream) {
  if (stream.legacy) enqueue(stream, std::make_shared<work>());
  return stream.last;
}

void run_device(int device) {
  for (const auto& stream : all.streams.all) {
    if (stream->device == device) run(stream->last);
  }
}

CUstream_st* find_stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &legacy(this_thread().device);
  CUstream_st* found = all.streams.find(handle);
  return found != nullptr && !found->gone ? found : nullptr;
}

cudaError_t submit(CUstream_st& stream, work what) {
  if (stream.in != nullptr) {
    if (stream.in->broken) return cudaErrorStreamCaptureInvalidated;
    stream.in->nodes.push_back({std::make_shared<work>(std::move(what)), stream.front});
    stream.front = {stream.in->nodes.size() - 1};
    return cudaSuccess;
  }
  if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
  enqueue(stream, std::make_shared<work>(std::move(what)));
  return cudaSuccess;
}

}  // namespace cuda_emulator::detail

namespace {

using namespace cuda_emulator::detail;

cudaError_t create_stream(const char* name, cudaStream_t* stream, unsigned flags) {
  return api(name, [&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    std::erase_if(all.streams.all, [](const auto& it) {
      return it->gone && (it->last == nullptr || it->last->done);
    });
    return give(stream, all.streams.add({.device = this_thread().device,
                                         .blocking = flags == cudaStreamDefault}));
  });
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create_stream(__func__, stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return create_stream(__func__, stream, flags);
}

// Returns at once; work that is pending still belongs to the device.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (stream.legacy) return cudaErrorInvalidResourceHandle;
    if (stream.in != nullptr) return cannot_wait(stream);
    stream.gone = true;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (const cudaError_t refused = cannot_wait(stream)) return refused;
    ++all.count.synchronizations;
    run(end_of(stream));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return on_stream(__func__, handle, [](CUstream_st& stream) {
    if (const cudaError_t refused = cannot_wait(stream)) return refused;
    return query(end_of(stream));
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    const CUevent_st* event = all.events.find(event_handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags != 0) return cudaErrorInvalidValue;
    if (event->in != nullptr) {
      const std::shared_ptr<capture>& in = event->in;
      if (in->origin == nullptr) return cudaErrorCapturedEvent;  // that capture has ended
      if (in->broken) return cudaErrorStreamCaptureInvalidated;
      if (stream.in != nullptr && stream.in != in) {
        stream.in->broken = in->broken = true;
        return cudaErrorStreamCaptureMerge;
      }
      if (stream.legacy) {
        in->broken = true;
        return cudaErrorStreamCaptureImplicit;
      }
      stream.in = in;
      for (const std::size_t it : event->front) {
        if (std::find(stream.front.begin(), stream.front.end(), it) == stream.front.end()) {
          stream.front.push_back(it);
        }
      }
      return cudaSuccess;
    }
    if (event->recorded == nullptr) return cudaSuccess;
    if (stream.in != nullptr) {
      stream.in->broken = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (const cudaError_t refused = legacy_meets_capture(stream)) return refused;
    enqueue(stream, std::make_shared<work>(), {event->recorded});
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return on_stream(__func__, handle, [&](CUstream_st& stream) {
    if (function == nullptr) return cudaErrorInvalidValue;
    return submit(stream, {kind::host, [=] { function(data); }});
  });
}
