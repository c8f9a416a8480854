// One forward pass of a batch, kept whole: its values are what differences are taken from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

enum class norm_mode : std::uint8_t {
  train,  ///< batch norms use the statistics of the batch
  eval    ///< the running ones
};

namespace detail {

// Values of a batch: samples in groups of 16, innermost ([group][position][channel][16]), so that
// every loop over them is one over whole vectors (src/nn/lanes.hpp).
inline constexpr index lanes = 16;

inline index groups_of(index samples) { return (samples + lanes - 1) / lanes; }

// Memory by whole vectors; large arrays by large pages where the system has them.
void* allocate_lanes(std::size_t bytes);
void free_lanes(void* memory, std::size_t bytes) noexcept;

template <class T>
struct lane_allocator {
  using value_type = T;
  lane_allocator() = default;
  template <class U>
  lane_allocator(const lane_allocator<U>&) {}  // NOLINT: allocators convert
  T* allocate(std::size_t n) { return static_cast<T*>(allocate_lanes(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { free_lanes(p, n * sizeof(T)); }
  // Room that is about to be written need not be cleared.
  template <class U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... A>
  void construct(U* p, A&&... from) {
    ::new (static_cast<void*>(p)) U(std::forward<A>(from)...);
  }
  bool operator==(const lane_allocator&) const = default;
};

template <class T>
using lane_vector = std::vector<T, lane_allocator<T>>;

// Two neighbouring channels of one sample in bfloat16, the first in the low half. Products of pairs
// halve the arithmetic where the processor has instructions for them.
struct bfloat16_pair {
  std::uint32_t bits;
};

struct evaluation;  // what is evaluated together

/// Row-major values of `count` samples (sample, channel, row, column) to lane rows, and back.
template <class T>
void to_lanes(const shape& s, index count, const T* rows, T* in_lanes);
template <class T>
void from_lanes(const shape& s, index count, const T* in_lanes, T* rows);

}  // namespace detail

/// Bytes that a pass of `count` samples takes: the values that are kept, and its weights.
template <class T>
index pass_bytes(const network& net, index count);

template <class T>
class difference_pass;

/// The values of a network for a batch of samples.
template <class T>
class forward_pass {
 public:
  explicit forward_pass(const network& net);

  /// Evaluates `count` samples, row-major: sample, channel, row, column. The same bits for any
  /// number of threads, instruction set and, in eval mode, batch. Throws std::invalid_argument for
  /// sizes that do not fit the network. Memory: the values of every sample.
  void run(std::span<const T> parameters, std::span<const T> statistics, std::span<const T> inputs,
           index count, norm_mode mode, int threads = 1);

  index count() const { return count_; }
  norm_mode mode() const { return mode_; }
  /// Keeps a copy of the weights in bfloat16, for differences that ask for such products. After
  /// run, with the same parameters.
  void round_weights(std::span<const T> parameters);

  /// count x outputs, row-major.
  std::span<const T> outputs() const { return outputs_; }

  /// A copy of the values of a node, count x its size, row-major.
  std::vector<T> value(index node) const;

  /// Of the input of a batch norm, by channel: the mean, and the root of the variance + epsilon.
  std::span<const double> means(index node) const { return means_[static_cast<std::size_t>(node)]; }
  std::span<const double> roots(index node) const { return roots_[static_cast<std::size_t>(node)]; }

  /// Moves running means and variances towards those of this batch, as PyTorch does: variances
  /// unbiased. Only after a pass in train mode.
  void update_statistics(std::span<T> statistics, double momentum = 0.1) const;

 private:
  friend class difference_pass<T>;

  // Factors of a batch norm, by channel: y = (x - mean) scale + shift.
  struct norm_factors {
    std::vector<T> mean, scale, shift;
  };

  const T* data(index node) const { return values_[static_cast<std::size_t>(node)].data(); }
  std::span<const T> parameter(std::span<const T> parameters, index number) const;
  void convolve(index id, std::span<const T> bias, int threads);
  void normalize(index id, std::span<const T> parameters, std::span<const T> statistics,
                 int threads);
  void measure(index id, bool summed, int threads);

  const network& net_;
  std::shared_ptr<const detail::evaluation> evaluation_;
  index count_ = 0;
  norm_mode mode_ = norm_mode::train;
  std::vector<detail::lane_vector<T>> values_, packed_, tiles_;
  std::vector<std::vector<detail::bfloat16_pair>> pairs_;
  std::vector<std::vector<double>> means_, roots_;
  std::vector<norm_factors> factors_;
  std::vector<double> sums_;
  index summed_ = -1;  // the node whose values sums_ are of
  std::vector<T> outputs_;
};

}  // namespace zo::nn
