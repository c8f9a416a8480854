// Gray boxes on a GPU: zo::boundary for a latent tensor and a black box of tensors, of which
// nothing leaves the device. Optional: include it only where zo::cuda and a LibTorch with CUDA are
// linked; no other header of zo includes it, and it is plain C++.
#pragma once

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/torch.h>

#include <memory>
#include <optional>

#include "zo/cuda/boundary.hpp"
#include "zo/torch.hpp"

namespace zo {

namespace cuda::detail {

inline void check_latents(const ::torch::Tensor& z) {
  zo::detail::check_latents(z);
  zo::detail::require(z.is_cuda(),
                      "zo::boundary: z is not in the memory of a GPU, where zo::cuda::on works; "
                      "move it with z.to(torch::kCUDA), or give zo::par");
}

// The stream as torch knows it. Throws where torch cannot work on it beside z.
inline c10::cuda::CUDAStream torch_stream(const policy& on, const ::torch::Tensor& z) {
  const cudaStream_t stream = on.stream();
  zo::detail::require(stream != cudaStreamLegacy && stream != cudaStreamPerThread,
                      "zo::boundary: torch has no name for cudaStreamLegacy and "
                      "cudaStreamPerThread; give zo::cuda::on(c10::cuda::getCurrentCUDAStream())");
  zo::detail::require(on.device() == z.get_device(), "zo::boundary: z is on GPU ", z.get_device(),
                      " and the policy on GPU ", on.device(),
                      "; make zo::cuda::on where the device of z is the current one");
  zo::detail::require(!capturing(stream),
                      "zo::boundary of tensors waits for the stream, which is being captured; "
                      "capture zo::boundary of zo/cuda/boundary.hpp");
  return c10::cuda::getStreamFromExternal(stream, static_cast<c10::DeviceIndex>(z.get_device()));
}

// While it lives torch works on `stream`, after all that it was given before on its own.
class torch_on_stream {
 public:
  explicit torch_on_stream(const c10::cuda::CUDAStream& stream)
      : stream_(stream.stream()),
        before_(c10::cuda::getCurrentCUDAStream(stream.device_index()).stream()),
        guard_(stream) {
    if (stream_ == before_) return;
    cudaEvent_t made = nullptr;
    check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreate");
    const std::unique_ptr<CUevent_st, cudaError_t (*)(cudaEvent_t)> event(made, cudaEventDestroy);
    check(cudaEventRecord(made, before_), "cudaEventRecord");
    check(cudaStreamWaitEvent(stream_, made, 0), "cudaStreamWaitEvent");
  }
  // After a report there is nothing left to wait for. After an exception there is: the work must
  // not outlive the tensors it reads, which torch may soon use again for its own stream.
  ~torch_on_stream() {
    if (stream_ != before_) cudaStreamSynchronize(stream_);
  }
  torch_on_stream(const torch_on_stream&) = delete;
  torch_on_stream& operator=(const torch_on_stream&) = delete;

 private:
  cudaStream_t stream_;
  cudaStream_t before_;
  c10::cuda::CUDAStreamGuard guard_;
};

template <class T, class F, class How>
tensor_boundary boundary_of(const policy& on, F& f, const ::torch::Tensor& z, const How& how,
                            const estimate_options& options, workspace* memory) {
  const c10::cuda::CUDAStream stream = torch_stream(on, z);
  // Memory of the stream on which the caller goes on.
  const ::torch::Tensor rows = z.detach().contiguous();
  const ::torch::Tensor gradients = ::torch::empty(rows.sizes(), rows.options());
  const ::torch::Tensor losses =
      ::torch::empty({rows.size(0)}, rows.options().dtype(::torch::kFloat64));
  const torch_on_stream here(stream);
  std::optional<workspace> own;
  if (memory == nullptr) memory = &own.emplace(on);
  const auto black_box = [&](points<T> candidates, span<const index_t> numbers,
                             span<double> answers, cudaStream_t) {
    zo::detail::ask_tensors(f, z, z.device(), candidates.data.data(), numbers.data(),
                            candidates.count, answers.data());
  };
  const span<const T> values(rows.template data_ptr<T>(), rows.numel());
  const estimate_result found =
      zo::boundary(on, black_box, points<T>{values, rows.size(0), zo::detail::row_size(rows)}, how,
                   options, span<T>(gradients.template data_ptr<T>(), gradients.numel()),
                   span<double>(losses.template data_ptr<double>(), losses.numel()), *memory)
          .get();
  return {losses, gradients, found.queries, found.failed, found.ok};
}

template <class F, class How>
tensor_boundary boundary_of_tensors(const policy& on, F& f, const ::torch::Tensor& z,
                                    const How& how, const estimate_options& options,
                                    workspace* memory) {
  check_latents(z);
  if (z.scalar_type() == ::torch::kFloat64) {
    return boundary_of<double>(on, f, z, how, options, memory);
  }
  return boundary_of<float>(on, f, z, how, options, memory);
}

}  // namespace cuda::detail

/// zo::boundary for tensors on a GPU: as in zo/torch.hpp, but candidates, rows, losses and
/// gradients stay on the device of z. f is called with the policy's stream as torch's current one,
/// after all that torch was given before; losses that it returns elsewhere are copied. What it
/// enqueues on other streams it must order itself. Waits for the stream once, at the end, to read
/// the report.
///
/// Same bits as zo::seq where f answers the same losses. `memory` is kept from one estimate to the
/// next; without it, all is taken from the pool and given back. Throws std::invalid_argument also
/// for a tensor that is not on a GPU, and for a stream of another one.
template <class F, class How>
tensor_boundary boundary(const cuda::policy& on, F&& f, const ::torch::Tensor& z, const How& how,
                         const estimate_options& options, cuda::workspace& memory) {
  return cuda::detail::boundary_of_tensors(on, f, z, how, options, &memory);
}

template <class F, class How>
tensor_boundary boundary(const cuda::policy& on, F&& f, const ::torch::Tensor& z, const How& how,
                         const estimate_options& options = {}) {
  return cuda::detail::boundary_of_tensors(on, f, z, how, options, nullptr);
}

}  // namespace zo
