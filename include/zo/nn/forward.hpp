// One forward pass of a batch, kept whole: its values are what differences are taken from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
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

/// In what the products of full differences are formed, which are nearly all of their arithmetic.
enum class products : std::uint8_t {
  exact,    ///< the scalar type
  bfloat16  ///< layers of 64 input channels and more: differences and weights rounded to bfloat16,
            ///< sums in float. Faster where the processor has such instructions (AVX512-BF16),
            ///< slower elsewhere. Still no losses are subtracted.
};

namespace detail {

// Values of a batch: samples in groups of 16, innermost ([group][position][channel][16]), so that
// every loop over them is one over whole vectors (src/nn/lanes.hpp).
inline constexpr index_t lanes = 16;

inline index_t groups_of(index_t samples) {
  return samples / lanes + (samples % lanes > 0 ? 1 : 0);
}

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
void to_lanes(const shape& s, index_t count, const T* rows, T* in_lanes);
template <class T>
void from_lanes(const shape& s, index_t count, const T* in_lanes, T* rows);

// As many threads as loops have: refuses less than 1.
int check_threads(const char* who, int threads);

// Refuses batches of nothing, and in train mode those of which a batch norm sees a single number a
// channel: its variance is zero, and so is every slope before it.
void check_batch(const char* who, const network& net, index_t count, norm_mode mode);

}  // namespace detail

/// Bytes that a pass of `count` samples keeps at most: values, weights and sums of batch norms;
/// and, where differences are taken from it, the weights as those need them.
template <class T>
index_t pass_bytes(const network& net, index_t count, std::optional<products> differences = {});

template <class T>
class difference_pass;

/// The values of a network for a batch of samples. Network and parameters are copied: nothing of
/// the caller's is kept. Everything but run asks for a pass that has run, and throws
/// std::invalid_argument before.
template <class T>
class forward_pass {
 public:
  explicit forward_pass(const network& net);

  /// Evaluates `count` samples, row-major: sample, channel, row, column. The same bits for any
  /// number of threads, instruction set and, in eval mode, batch. Memory: pass_bytes. Throws
  /// std::invalid_argument for sizes that do not fit the network, for a negative running variance
  /// in eval mode, and in train mode for a batch norm that sees one number a channel.
  void run(std::span<const T> parameters, std::span<const T> statistics, std::span<const T> inputs,
           index_t count, norm_mode mode, int threads = 1);

  /// Keeps the weights as a difference_pass needs them, until the next run. Products in bfloat16
  /// are for float.
  void prepare_differences(products how = products::exact);

  const network& net() const { return *net_; }
  index_t count() const { return count_; }
  norm_mode mode() const { return mode_; }

  /// count x outputs, row-major.
  std::span<const T> outputs() const;

  /// A copy of the values of a node, count x its size, row-major.
  std::vector<T> value(index_t node) const;

  /// Of the input of a batch norm, by channel: the mean, and the root of the variance + epsilon.
  std::span<const double> means(index_t node) const;
  std::span<const double> roots(index_t node) const;
  /// The variance, after a pass in train mode.
  std::span<const double> variances(index_t node) const;

  /// Moves running means and variances towards those of this batch, as PyTorch does: variances
  /// unbiased. Only after a pass in train mode, by a momentum from 0 to 1.
  void update_statistics(std::span<T> statistics, double momentum = 0.1) const;

 private:
  friend class difference_pass<T>;

  // Factors of a batch norm, by channel: y = (x - mean) scale + shift, where the shift has what
  // rounding left of the mean.
  struct norm_factors {
    std::vector<T> mean, scale, shift;
  };

  const T* data(index_t node) const { return values_[static_cast<std::size_t>(node)].data(); }
  std::span<const T> parameter(index_t number) const;
  void check_run() const;
  void check_norm(index_t node) const;
  void make_room(index_t count);
  void convolve(index_t id, int threads);
  void normalize(index_t id, std::span<const T> statistics, int threads);
  void measure(index_t id, bool summed, int threads);

  std::shared_ptr<const network> net_;
  std::shared_ptr<const detail::evaluation> evaluation_;
  index_t count_ = 0;
  norm_mode mode_ = norm_mode::train;
  bool has_run_ = false;
  std::optional<products> differences_;  // that the weights are kept for
  std::uint64_t runs_ = 0;               // by which differences know their pass
  std::vector<T> parameters_;
  std::vector<detail::lane_vector<T>> values_, packed_, tiles_;
  std::vector<std::vector<detail::bfloat16_pair>> pairs_;
  std::vector<std::vector<double>> means_, rests_, variances_, roots_;  // rest: mean - mean as T
  std::vector<norm_factors> factors_;
  std::vector<double> sums_;
  index_t summed_ = -1;  // the node whose values sums_ are of
  std::vector<T> outputs_;
};

}  // namespace zo::nn
