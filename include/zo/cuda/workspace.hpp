// Device memory of estimates, kept from one to the next.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/execution.hpp"

namespace zo::cuda {

namespace detail {

// What an estimate leaves on the device.
struct report {
  double value;
  unsigned long long failed;
  unsigned long long why;  // a zo::flaw
};

enum class room : std::size_t {
  candidates,
  rows,  // of candidates; coordinates of probes
  base,  // f(x)
  answers,
  factors,  // 1 / norm; weights of listed directions
  norms,    // sums of tiles on the way to them
  partial,  // sums of slices of lazy losses
  weights,
  tally,
  list,    // of coordinates
  listed,  // directions
  steps,   // of probes
  maps,    // answers of vector maps
  mapped,  // rows of what they answer
  report,  // the last, see keep_report
  count
};

}  // namespace detail

/// Device memory that may be kept between estimates of any size on one stream: with it, an estimate
/// allocates nothing that an earlier one has allocated, and can be captured into a graph, which it
/// must then outlive. A workspace serves one estimate at a time and never changes a result. Its own
/// policy says how much it may take (max_bytes) and from which pool.
class workspace {
 public:
  explicit workspace(const policy& on) : on_(on) {}

  const policy& on() const { return on_; }

  /// Bytes of device memory held now.
  index_t bytes() const {
    index_t total = 0;
    for (const detail::buffer& one : buffers_) total += one.bytes();
    return total;
  }

  zo::detail::in_use& use() { return use_; }

  /// For the estimators: a new estimate, which has taken nothing yet.
  void begin(const char* who);

  /// For the estimators: room for `count` numbers, not initialized. Throws std::invalid_argument
  /// beyond max_bytes, zo::cuda::error when the device has no more.
  template <class T>
  T* take(detail::room which, index_t count) {
    return static_cast<T*>(bytes_for(which, count * static_cast<index_t>(sizeof(T))));
  }

  /// For the estimators: what is left of `wanted` bytes beside `others` bytes.
  index_t left_of(index_t wanted, index_t others) const {
    const index_t bound = on_.options().max_bytes.value_or(std::numeric_limits<index_t>::max());
    return std::min(wanted, bound - std::min(bound, others));
  }

  /// For runs: while this number (device memory, or null) is not 0, estimates are out of range.
  void watch(const unsigned long long* infinite) { infinite_ = infinite; }
  const unsigned long long* watched() const { return infinite_; }

  /// For captured estimates without a workspace of the user's: memory is taken from the graph.
  void allow_capture() { from_graph_ = true; }
  /// Gives everything back but the report.
  void keep_report() {
    for (std::size_t k = 0; k + 1 < buffers_.size(); ++k) buffers_[k] = {};
  }

 private:
  void* bytes_for(detail::room which, index_t bytes);

  policy on_;
  zo::detail::in_use use_;
  std::array<detail::buffer, static_cast<std::size_t>(detail::room::count)> buffers_;
  std::array<bool, static_cast<std::size_t>(detail::room::count)> taken_{};  // by this estimate
  const unsigned long long* infinite_ = nullptr;
  bool captured_ = false;    // this estimate
  bool from_graph_ = false;  // memory belongs to the graph that is being captured
  bool in_a_graph_ = false;  // some graph replays with this memory
};

}  // namespace zo::cuda
