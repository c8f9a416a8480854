// Device memory of estimates, kept from one to the next.
#pragma once

#include <array>
#include <cstddef>
#include <limits>

#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/policy.hpp"

namespace zo::cuda {

namespace detail {

// What an estimate leaves on the device.
struct report {
  double value;
  unsigned long long failed;
  unsigned long long ok;
};

enum class room : std::size_t {
  candidates,
  rows,
  base,
  answers,
  factors,
  partial,
  weights,
  tally,
  list,
  steps,
  report,
  count
};

}  // namespace detail

/// Device memory that may be kept between estimates of any size on one stream: with it, an estimate
/// allocates nothing that an earlier one has allocated, and can be captured into a graph. A
/// workspace serves one estimate at a time and never changes a result.
class workspace {
 public:
  explicit workspace(const policy& on) : on_(on) {}

  const policy& on() const { return on_; }

  /// Bytes of device memory held now.
  index bytes() const {
    index total = 0;
    for (const detail::buffer& one : buffers_) total += one.bytes();
    return total;
  }

  /// For the estimators: room for `count` numbers, not initialized. Throws std::invalid_argument
  /// beyond max_bytes, zo::cuda::error when the device has no more.
  template <class T>
  T* take(detail::room which, index count) {
    return static_cast<T*>(bytes_for(which, count * static_cast<index>(sizeof(T))));
  }

  /// For the estimators: bytes that candidates may take beside `others` bytes.
  index left_for_candidates(index chunk_bytes, index others) const {
    const index bound = on_.options().max_bytes.value_or(std::numeric_limits<index>::max());
    return std::min(chunk_bytes, bound - std::min(bound, others));
  }

  /// For captured estimates without a workspace of the user's: memory is taken from the graph.
  void allow_capture() { from_graph_ = true; }
  /// Gives everything back but the report.
  void keep_report() {
    for (std::size_t k = 0; k + 1 < buffers_.size(); ++k) buffers_[k] = {};
  }

 private:
  void* bytes_for(detail::room which, index bytes);

  policy on_;
  std::array<detail::buffer, static_cast<std::size_t>(detail::room::count)> buffers_;
  bool from_graph_ = false;
};

}  // namespace zo::cuda
