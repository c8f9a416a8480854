// Device memory: views of the user's, and buffers from a stream-ordered pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/cuda/device_code.hpp"
#include "zo/cuda/error.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/error.hpp"
#include "zo/team.hpp"

namespace zo::cuda {

/// A view of numbers in device memory, so that host and device memory are different types. The host
/// must not dereference data().
template <class T>
class span {
 public:
  using value_type = std::remove_const_t<T>;

  span() = default;
  ZO_HD span(T* data, index_t size) : data_(data), size_(size) {}
  /// A view that may not write of one that may.
  template <class U>
  requires(std::is_const_v<T>&& std::is_same_v<const U, T>) ZO_HD
      span(const span<U>& other)  // NOLINT: as std::span
      : data_(other.data()), size_(other.size()) {}

  ZO_HD T* data() const { return data_; }
  ZO_HD index_t size() const { return size_; }
  ZO_HD span subspan(index_t first, index_t count) const { return {data_ + first, count}; }
#if ZO_DEVICE_CODE
  __device__ T& operator[](index_t i) const { return data_[i]; }
#endif

 private:
  T* data_ = nullptr;
  index_t size_ = 0;
};

namespace detail {

/// Bytes from the policy's pool, given back on its stream when the object goes.
class buffer {
 public:
  buffer() = default;
  buffer(const policy& on, index_t bytes, const char* what);
  buffer(buffer&& other) noexcept { swap(other); }
  buffer& operator=(buffer&& other) noexcept {
    buffer gone(std::move(other));
    swap(gone);
    return *this;
  }
  ~buffer();

  void* data() const { return data_; }
  index_t bytes() const { return bytes_; }

 private:
  void swap(buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(stream_, other.stream_);
    std::swap(device_, other.device_);
  }

  void* data_ = nullptr;
  index_t bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  int device_ = 0;
};

/// A buffer that outlives what is enqueued now: not to be had while the stream is captured.
buffer lasting(const policy& on, index_t bytes);

// Copies between host and device; the host waits for them.
void copy_to_device(const policy& on, const void* from, index_t bytes, void* to);
void copy_to_host(const policy& on, const void* from, index_t bytes, void* to);
// Enqueued: zeros, and the 0xFF bytes that make every number a NaN.
void fill_zero(cudaStream_t stream, void* data, index_t bytes);
void fill_nan(cudaStream_t stream, void* data, index_t bytes);
void copy_on_device(cudaStream_t stream, const void* from, index_t bytes, void* to);

/// Throws std::invalid_argument unless `data` is memory of the policy's device, or memory of the
/// host that the machine lets every device read and write.
void check_device_pointer(const policy& on, const char* who, const char* name, const void* data);
/// And lies where its type may.
template <class T>
requires(!std::is_void_v<T>) void check_device_pointer(const policy& on, const char* who,
                                                       const char* name, const T* data) {
  check_device_pointer(on, who, name, static_cast<const void*>(data));
  zo::detail::check_alignment(who, name, data);
}

}  // namespace detail

/// Numbers in device memory that belong to this object. Given back on the policy's stream: work
/// enqueued there before may still use them.
template <class T>
class array {
 public:
  using value_type = T;

  /// `size` numbers, not initialized. Throws while the stream is captured, and beyond the memory.
  array(const policy& on, index_t size)
      : on_(on), memory_(detail::lasting(on, bytes_of(size))), size_(size) {}
  /// A copy of host memory; waits for the copy.
  array(const policy& on, std::span<const T> host) : array(on, static_cast<index_t>(host.size())) {
    copy_from(host);
  }
  array(const policy& on, const std::vector<T>& host) : array(on, std::span<const T>(host)) {}
  array(const policy& on, std::initializer_list<T> host)
      : array(on, std::span<const T>(host.begin(), host.size())) {}
  array(array&& other) noexcept
      : on_(other.on_), memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
  array& operator=(array&& other) noexcept {
    on_ = other.on_;
    memory_ = std::move(other.memory_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }
  index_t size() const { return size_; }
  operator span<T>() { return {data(), size_}; }              // NOLINT: a view, as std::span
  operator span<const T>() const { return {data(), size_}; }  // NOLINT

  /// Waits for the copy.
  void copy_from(std::span<const T> host) {
    zo::detail::require(static_cast<index_t>(host.size()) == size_, "zo::cuda::array: ", size_,
                        " numbers cannot be copied from ", host.size());
    detail::copy_to_device(on_, host.data(), memory_.bytes(), data());
  }
  /// A copy on the host; waits for the stream.
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(size_));
    detail::copy_to_host(on_, data(), memory_.bytes(), host.data());
    return host;
  }

 private:
  static index_t bytes_of(index_t size) {
    constexpr index_t most = std::numeric_limits<index_t>::max() / static_cast<index_t>(sizeof(T));
    zo::detail::require(size >= 0 && size <= most, "zo::cuda::array: size must be in 0 … ", most,
                        ", got ", size);
    return size * static_cast<index_t>(sizeof(T));
  }

  policy on_;
  detail::buffer memory_;
  index_t size_ = 0;
};

namespace detail {

/// Of numbers in device memory, as zo::detail::fingerprint has it of the host's; waits for a copy.
template <class T>
std::uint64_t fingerprint_of(const policy& on, span<const T> values) {
  std::vector<T> host(static_cast<std::size_t>(values.size()));
  copy_to_host(on, values.data(), values.size() * static_cast<index_t>(sizeof(T)), host.data());
  return zo::detail::fingerprint().add(std::span<const T>(host)).value();
}

/// Whether two views have no byte in common.
template <class A, class B>
bool apart(const span<A>& a, const span<B>& b) {
  const auto first = [](const auto& s) { return reinterpret_cast<std::uintptr_t>(s.data()); };
  const auto end = [&](const auto& s) {
    return first(s) + static_cast<std::uintptr_t>(s.size()) * sizeof(*s.data());
  };
  return end(a) <= first(b) || end(b) <= first(a);
}

}  // namespace detail

/// zo::cuda::span or zo::cuda::array of float or double.
template <class X>
concept device_vector = requires(X& x) {
  typename std::remove_cvref_t<X>::value_type;
  {span<const typename std::remove_cvref_t<X>::value_type>(x)};
}
&&scalar<typename std::remove_cvref_t<X>::value_type>;

/// One that may be written to.
template <class X>
concept writable_device_vector = device_vector<X> && requires(X& x) {
  {span<typename std::remove_cvref_t<X>::value_type>(x)};
};

template <device_vector X>
using device_scalar_of = typename std::remove_cvref_t<X>::value_type;

}  // namespace zo::cuda
