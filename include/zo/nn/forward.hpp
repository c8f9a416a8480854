// One forward pass of a batch, kept whole: its values are what differences are taken from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/execution.hpp"
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
            ///< sums in float, where the processor has tiles for it (AMX-BF16); elsewhere the
            ///< same as exact. Still no losses are subtracted. A GPU: zo/cuda/network.hpp.
};

namespace detail {

template <class T>
struct pass_values;  // of src/nn: what a pass keeps, and how

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
/// std::invalid_argument before. What was moved from can only be assigned to and destroyed.
template <class T>
class forward_pass {
 public:
  explicit forward_pass(const network& net);
  forward_pass(const forward_pass&);
  forward_pass(forward_pass&&) noexcept;
  forward_pass& operator=(const forward_pass&);
  forward_pass& operator=(forward_pass&&) noexcept;
  ~forward_pass();

  /// Evaluates `count` samples, row-major: sample, channel, row, column. The same bits for any
  /// number of threads, instruction set and, in eval mode, batch. Memory: pass_bytes. Throws
  /// std::invalid_argument for sizes that do not fit the network, for a negative running variance
  /// in eval mode, and in train mode for a batch norm that sees one number a channel.
  void run(const execution_policy auto& on, std::span<const T> parameters,
           std::span<const T> statistics, std::span<const T> inputs, index_t count,
           norm_mode mode) {
    run_with(zo::detail::threads_of(on), parameters, statistics, inputs, count, mode);
  }

  /// Keeps the weights as a difference_pass needs them, until the next run. Products in bfloat16
  /// are for float.
  void prepare_differences(products how = products::exact);

  /// Keeps the cotangent of the outputs, samples x outputs, until the next run: what the loss of a
  /// later stretch of a network changes by with each of them. difference_pass::paired asks with it.
  /// Memory, beyond pass_bytes: the cotangent twice, and the inputs of convolutions once more.
  void pair_with(std::span<const T> cotangent);

  const network& net() const;
  index_t count() const;
  norm_mode mode() const;

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

  void run_with(int threads, std::span<const T> parameters, std::span<const T> statistics,
                std::span<const T> inputs, index_t count, norm_mode mode);

  std::unique_ptr<detail::pass_values<T>> values_;
};

}  // namespace zo::nn
