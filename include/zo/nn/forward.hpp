// One forward pass of a batch, kept whole: its values are what differences are taken from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

enum class norm_mode : std::uint8_t {
  train,  ///< batch norms use the statistics of the batch
  eval    ///< the running ones
};

/// The values of a network for a batch of samples, row-major: sample, channel, row, column.
template <class T>
class forward_pass {
 public:
  explicit forward_pass(const network& net) : net_(net), values_(net.nodes().size()) {
    means_.resize(net.nodes().size());
    roots_.resize(net.nodes().size());
  }

  /// Evaluates `count` samples. The same bits for any number of threads, instruction set and, in
  /// eval mode, batch. Throws std::invalid_argument for sizes that do not fit the network. Memory:
  /// every value of every sample.
  void run(std::span<const T> parameters, std::span<const T> statistics, std::span<const T> inputs,
           index count, norm_mode mode, int threads = 1);

  index count() const { return count_; }
  norm_mode mode() const { return mode_; }
  std::span<const T> value(index node) const { return values_[static_cast<std::size_t>(node)]; }
  std::span<const T> outputs() const { return values_.back(); }

  /// Of the input of a batch norm, by channel: the mean, and the root of the variance + epsilon.
  std::span<const double> means(index node) const { return means_[static_cast<std::size_t>(node)]; }
  std::span<const double> roots(index node) const { return roots_[static_cast<std::size_t>(node)]; }

  /// Moves running means and variances towards those of this batch, as PyTorch does: variances
  /// unbiased. Only after a pass in train mode.
  void update_statistics(std::span<T> statistics, double momentum = 0.1) const;

 private:
  const network& net_;
  index count_ = 0;
  norm_mode mode_ = norm_mode::train;
  std::vector<std::vector<T>> values_;
  std::vector<std::vector<double>> means_, roots_;
};

}  // namespace zo::nn
