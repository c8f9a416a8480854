// The policy zo::cuda::on(stream): estimates, boundaries and whole runs on an NVIDIA GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "zo/config.hpp"
#include "zo/cuda/error.hpp"
#include "zo/error.hpp"
#include "zo/team.hpp"

namespace zo::cuda {

struct on_options {
  /// Device memory that the buffers of one estimate may take together; unset: no bound but
  /// chunk_bytes. An estimate that cannot do with it throws before it asks anything.
  std::optional<index_t> max_bytes{};
  /// Where buffers come from; null: the default pool of the device.
  cudaMemPool_t pool = nullptr;
  /// Device memory with a number that is added to estimate_options::step when the kernels run, so
  /// that a captured step has new directions at each replay. Null: nothing is added.
  const std::uint64_t* step_counter = nullptr;
};

/// Where device work is enqueued. A small value; the stream and the pool stay the caller's, and
/// must outlive every array and workspace made with it.
class policy {
 public:
  policy(cudaStream_t stream, int device, const on_options& options)
      : stream_(stream), device_(device), options_(options) {}

  cudaStream_t stream() const { return stream_; }
  /// The device that was current when the policy was made; it must be current whenever it is used.
  int device() const { return device_; }
  const on_options& options() const { return options_; }

  /// The same place, with queries shared with other processes: what zo::mpi::over makes. Estimates
  /// then wait for the stream, because answers travel through the host.
  policy with_team(std::shared_ptr<zo::detail::team> team) const {
    policy shared = *this;
    shared.team_ = std::move(team);
    return shared;
  }
  /// Null: alone.
  zo::detail::team* team() const { return team_.get(); }

 private:
  cudaStream_t stream_;
  int device_;
  on_options options_;
  std::shared_ptr<zo::detail::team> team_;
};

/// Work goes to `stream` of the current device (null: the default stream). Everything is enqueued
/// there and nothing waits for the GPU, but what says so: pending_estimate::get, zo::minimize,
/// zo::boundary of tensors (zo/cuda/torch.hpp) and the copies of zo::cuda::array to and from the
/// host. Throws zo::cuda::error where there is no device, or one this build has no code for.
policy on(cudaStream_t stream, const on_options& options = {});

/// Adds one to a counter in device memory (on_options::step_counter): the last thing in a captured
/// step. Enqueued on the policy's stream.
void advance(const policy& on, std::uint64_t* counter);

namespace detail {

/// Throws std::invalid_argument unless the policy's device is the current one.
void check_device(const policy& on, const char* who);

/// Whether the stream is being captured into a graph.
bool capturing(cudaStream_t stream);

}  // namespace detail
}  // namespace zo::cuda
