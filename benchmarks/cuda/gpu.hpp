// The GPU that claims are measured on: its stream, clock and memory, and how results are checked.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>
#include <zo/cuda.hpp>

#include "claim.hpp"
#include "context.hpp"

namespace bench {

using zo::cuda::detail::check;

class gpu {
 public:
  /// Throws, with a sentence for the user, where there is none.
  gpu();

  zo::cuda::policy on() const { return zo::cuda::on(stream_); }
  cudaStream_t stream() const { return stream_; }
  zo::index_t l2_bytes() const { return l2_bytes_; }
  facts context() const;

  /// Events around the work on the stream. The first clock wakes the GPU, unless for a smoke test.
  stopwatch clock(const effort& how);

  /// Bytes that one claim may take: most of what is free.
  zo::index_t room() const;
  /// At most `wanted` coordinates of `bytes` each that fit in the room, in whole tiles.
  zo::index_t fitting(zo::index_t wanted, zo::index_t bytes) const;

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t start_ = nullptr, end_ = nullptr;
  zo::index_t l2_bytes_ = 0;
  bool awake_ = false;
};

/// One for the whole program, made at the first call.
gpu& the_gpu();

/// Numbers that are no zeros: hardware may be faster on zeros.
template <class T>
zo::cuda::array<T> normals(const gpu& g, zo::index_t count, zo::cuda::working_type<T> scale = 1) {
  zo::cuda::array<T> x(g.on(), count);
  zo::cuda::detail::fill_zero(g.stream(), x.data(), count * static_cast<zo::index_t>(sizeof(T)));
  zo::cuda::perturb(g.on(), zo::gaussian{}, {.seed = 99}, x, scale, zo::cuda::span<T>(x));
  return x;
}

/// Copies inside the device's memory, much larger than its cache: what the memory can do.
class copies {
 public:
  copies(const gpu& g, const effort& how);
  void operator()();
  double bytes() const { return 2.0 * sizeof(float) * static_cast<double>(count_); }  // both ways

 private:
  cudaStream_t stream_;
  zo::index_t count_;
  zo::cuda::array<float> from_, to_;
};

/// Bandwidth as a share of that of copies; one call of `ours` moves `bytes`.
outcome share_of_copies(const effort& how, const std::function<void()>& ours, double bytes);

/// count numbers of device memory.
template <class T>
std::vector<T> part(const gpu& g, const T* from, zo::index_t first, zo::index_t count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  zo::cuda::detail::copy_to_host(g.on(), from + first, count * static_cast<zo::index_t>(sizeof(T)),
                                 host.data());
  return host;
}

/// Throws unless both have the same bits.
template <class T>
void expect_same(const std::vector<T>& found, const std::vector<T>& wanted,
                 const std::string& what) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found.size() == wanted.size() && std::memcmp(&found[i], &wanted[i], sizeof(T)) == 0) {
      continue;
    }
    throw std::runtime_error("wrong result: " + what + " are not those of the CPU, first at " +
                             std::to_string(i));
  }
}

/// Throws unless the numbers differ by `tolerance` of the wanted one at most.
void expect_close(double found, double wanted, double tolerance, const std::string& what);

}  // namespace bench
