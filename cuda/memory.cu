// Devices, streams and device memory: every call checked, every refusal a sentence.
#include "zo/cuda/memory.hpp"

#include "zo/cuda/launch.hpp"
#include "zo/cuda/workspace.hpp"

namespace zo::cuda {

namespace {

__global__ void probe_kernel() {}

[[noreturn]] void refuse(const std::string& why, cudaError_t code) {
  throw error("zo::cuda::on: " + why, code);
}

}  // namespace

policy on(cudaStream_t stream, const on_options& options) {
  zo::detail::require(!options.max_bytes || *options.max_bytes >= 1,
                      "zo::cuda::on: max_bytes must be at least 1, got ",
                      options.max_bytes.value_or(0));
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    const cudaError_t code = found == cudaSuccess ? cudaErrorNoDevice : found;
    cudaGetLastError();  // forget it: a program may go on without a GPU
    refuse(std::string("there is no usable CUDA device here (") + cudaGetErrorString(code) +
               "); use zo::par, or run where nvidia-smi lists a GPU",
           code);
  }
  // Asks for the machine code of one of our kernels: what this build supports, whatever the
  // numbers.
  cudaFuncAttributes attributes{};
  const cudaError_t code = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorUnsupportedPtxVersion) {
    cudaGetLastError();
    int device = 0, major = 0, minor = 0;
    detail::check(cudaGetDevice(&device), "cudaGetDevice");
    detail::check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
                  "cudaDeviceGetAttribute");
    detail::check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
                  "cudaDeviceGetAttribute");
    refuse("device " + std::to_string(device) + " has compute capability " + std::to_string(major) +
               "." + std::to_string(minor) +
               ", for which this build of zo has no code; build zo with "
               "-DCMAKE_CUDA_ARCHITECTURES=" +
               std::to_string(10 * major + minor) + ", or use zo::par",
           code);
  }
  detail::check(code, "cudaFuncGetAttributes");
  int device = 0;
  detail::check(cudaGetDevice(&device), "cudaGetDevice");
  const policy made(stream, device, options);
  if (options.step_counter != nullptr) {
    detail::check_device_pointer(made, "zo::cuda::on", "step_counter", options.step_counter);
  }
  return made;
}

void workspace::begin(const char* who) {
  detail::check_device(on_, who);
  taken_.fill(false);
  captured_ = detail::capturing(on_.stream());
}

void* workspace::bytes_for(detail::room which, index_t bytes) {
  const auto number = static_cast<std::size_t>(which);
  detail::buffer& place = buffers_[number];
  taken_[number] = true;
  const auto& bound = on_.options().max_bytes;
  // Under a bound a larger buffer would take the room of others.
  const bool keeps = place.bytes() == bytes || !bound || in_a_graph_;
  if (place.bytes() >= bytes && keeps) {
    in_a_graph_ = in_a_graph_ || (captured_ && !from_graph_);
    return place.data();
  }
  zo::detail::require(
      !in_a_graph_ || captured_,
      "zo::cuda::workspace: a graph replays with this memory, so that it cannot grow; "
      "use another workspace for larger estimates");
  zo::detail::require(from_graph_ || !captured_,
                      "zo::cuda::workspace: a captured estimate must find its memory ready; make "
                      "the same estimate once with this workspace before the capture");
  const auto others = [&] { return this->bytes() - place.bytes(); };
  if (bound && others() + bytes > *bound) {
    // What other estimates have left here goes first.
    for (std::size_t k = 0; k < buffers_.size(); ++k) {
      if (!taken_[k]) buffers_[k] = {};
    }
  }
  zo::detail::require(!bound || others() + bytes <= *bound, "zo::cuda: this estimate needs ",
                      others() + bytes, " bytes of device memory or more, and max_bytes is ",
                      bound.value_or(0), "; allow more, or ask fewer directions or rows");
  place = {};  // before the new one, so that both never exist together
  place = detail::buffer(on_, bytes, "an estimate");
  return place.data();
}

namespace detail {

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

void check_device(const policy& on, const char* who) {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  zo::detail::require(device == on.device(), who, ": the policy is of device ", on.device(),
                      ", and device ", device, " is the current one; call cudaSetDevice(",
                      on.device(), ") first");
}

buffer::buffer(const policy& on, index_t bytes, const char* what)
    : bytes_(bytes), stream_(on.stream()), device_(on.device()) {
  if (bytes == 0) return;
  const auto size = static_cast<std::size_t>(bytes);
  const cudaError_t result =
      on.options().pool == nullptr
          ? cudaMallocAsync(&data_, size, stream_)
          : cudaMallocFromPoolAsync(&data_, size, on.options().pool, stream_);
  if (result == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // forget it: a smaller estimate may still succeed
    throw error("zo::cuda: out of device memory: no " + std::to_string(bytes) + " bytes for " +
                    what + "; ask for smaller chunks (chunk_bytes) or free memory of the GPU",
                result);
  }
  check(result, "cudaMallocAsync");
}

buffer::~buffer() {
  if (data_ == nullptr) return;
  // A default stream is that of the current device, which may have changed.
  int current = device_;
  const bool elsewhere = cudaGetDevice(&current) == cudaSuccess && current != device_;
  if (elsewhere) cudaSetDevice(device_);
  // It fails where an earlier fault has ended everything, or in a capture; nobody is left to tell.
  if (cudaFreeAsync(data_, stream_) != cudaSuccess) cudaGetLastError();
  if (elsewhere) cudaSetDevice(current);
}

buffer lasting(const policy& on, index_t bytes) {
  check_device(on, "zo::cuda::array");
  zo::detail::require(
      bytes == 0 || !capturing(on.stream()),
      "zo::cuda::array: the stream is being captured, and what is allocated now would "
      "belong to the graph; make arrays and updaters before the capture");
  return {on, bytes, "an array"};
}

namespace {

// Enqueued and waited for. A wait that fails is the end of the device's work: no copy comes later.
void copy_and_wait(const policy& on, const void* from, index_t bytes, void* to,
                   cudaMemcpyKind kind) {
  if (bytes == 0) return;
  zo::detail::require(
      !capturing(on.stream()),
      "zo::cuda: a copy between host and device waits for the stream, which is being "
      "captured; copy before or after the capture");
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, on.stream()),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(on.stream()), "cudaStreamSynchronize");
}

}  // namespace

void copy_to_device(const policy& on, const void* from, index_t bytes, void* to) {
  copy_and_wait(on, from, bytes, to, cudaMemcpyHostToDevice);
}

void copy_to_host(const policy& on, const void* from, index_t bytes, void* to) {
  copy_and_wait(on, from, bytes, to, cudaMemcpyDeviceToHost);
}

void fill_zero(cudaStream_t stream, void* data, index_t bytes) {
  check(cudaMemsetAsync(data, 0, static_cast<std::size_t>(bytes), stream), "cudaMemsetAsync");
}

void fill_nan(cudaStream_t stream, void* data, index_t bytes) {
  check(cudaMemsetAsync(data, 0xFF, static_cast<std::size_t>(bytes), stream), "cudaMemsetAsync");
}

void copy_on_device(cudaStream_t stream, const void* from, index_t bytes, void* to) {
  check(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream),
      "cudaMemcpyAsync on the device");
}

void check_device_pointer(const policy& on, const char* who, const char* name, const void* data) {
  zo::detail::require(data != nullptr, who, ": ", name, " must be device memory, and it is null");
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, data), "cudaPointerGetAttributes");
  if (attributes.type == cudaMemoryTypeUnregistered) {
    // Some machines let a GPU reach all memory of the host.
    int reaches_host = 0;
    check(cudaDeviceGetAttribute(&reaches_host, cudaDevAttrPageableMemoryAccess, on.device()),
          "cudaDeviceGetAttribute");
    zo::detail::require(reaches_host != 0, who, ": ", name,
                        " must be device memory, and this is host memory; copy it into a "
                        "zo::cuda::array");
  }
  zo::detail::require(attributes.type != cudaMemoryTypeDevice || attributes.device == on.device(),
                      who, ": ", name, " is memory of device ", attributes.device,
                      ", and the policy is of device ", on.device());
}

}  // namespace detail
}  // namespace zo::cuda
