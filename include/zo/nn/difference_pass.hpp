// What a change of one parameter does to the outputs, without ever subtracting two passes.
//
// The base pass is kept; only the difference of each value travels. A weight moves one output
// channel of its layer, and through batch norm, ReLU, pooling and shortcuts it stays that channel;
// the next convolution needs that channel's contribution alone; from there on differences are full,
// and go through the unperturbed weights. Layers before the weight are never evaluated again.
// Convolutions and linear maps are linear in the difference; batch norms, ReLU, pools and losses
// have exact forms, so that a step may be as small as one likes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

/// What batch norms do with a difference.
enum class coupling : std::uint8_t {
  batch,  ///< as in the base pass: in train mode statistics follow the whole batch
  frozen  ///< they keep the statistics of the base pass, so that samples do not interact
};

/// What a difference d does to the statistics of one batch norm, sample by sample: sums over the
/// pixels of d, and of d (2 c + d) for c = input - mean. samples x channels each.
struct norm_sums {
  index_t node = -1;
  std::vector<double> of_difference{}, of_squares{};
};

/// Positions of a value: rows [top, bottom), columns [left, right).
struct window {
  index_t top = 0, bottom = 1, left = 0, right = 1;
};

/// Bytes that differences of `count` samples take at most, beside those of the base pass.
template <class T>
index_t difference_bytes(const network& net, index_t count);

/// What a question about a parameter of each node costs, in multiplications and numbers written, of
/// a sample; 0 for nodes without parameters.
std::vector<double> probe_costs(const network& net);

/// Differences of all values of a network for one perturbed parameter. Holds buffers, so one object
/// serves one thread. Memory: difference_bytes, the differences that are still needed.
template <class T>
class difference_pass {
 public:
  /// The base pass stays the caller's: it must outlive this, has run, and its prepare_differences
  /// says in what products are formed. Throws std::invalid_argument otherwise.
  explicit difference_pass(const forward_pass<T>& base);
  explicit difference_pass(const forward_pass<T>&&) = delete;
  difference_pass(const difference_pass&);
  difference_pass(difference_pass&&) noexcept;
  ~difference_pass();

  /// After another run and prepare_differences of the base pass, without which questions are
  /// refused then: counts multiplications from zero.
  void begin();

  /// Outputs of the base pass after parameter `coordinate` moved by `step`, minus those before:
  /// count x outputs, valid until the next call. Cost: what the changed channel reaches.
  std::span<const T> operator()(index_t coordinate, T step);

  /// Outputs after the values of `node` changed by `moved`, minus those before: samples x outputs,
  /// valid until the next call. `moved` is samples x values of the node, row-major by sample. With
  /// coupling::frozen, or after a base pass in eval mode, it may be of fewer samples than that had:
  /// the first ones. Cost: a forward pass of these samples from the node on.
  std::span<const T> from(index_t node, std::span<const T> moved, coupling how);

  /// The sum over samples and outputs of cotangent times change, when parameter `coordinate` moves
  /// by `step`. The base pass has the cotangent: its pair_with comes first. Sums over a row of
  /// positions are formed in T, the others in double. Cost: as for the change; where only one
  /// channel changes, only that one is summed.
  double paired(index_t coordinate, T step);

  /// The same when one channel of `node` changes by `moved`, samples x positions; of each of some
  /// windows of the outputs and each sample by itself: windows x samples. Changes that reach
  /// different windows are asked at once so (Curtis, Powell and Reid, 1974). Samples as for from.
  void paired(index_t node, index_t channel, std::span<const T> moved, coupling how,
              std::span<const window> windows, std::span<double> sums);

  /// After from(…, coupling::frozen): each batch norm that the difference reached, in their order.
  std::span<const norm_sums> sums() const;

  /// Multiplications made so far, to be compared with network::multiplications().
  index_t multiplications() const;

 private:
  class state;
  std::unique_ptr<state> state_;
};

}  // namespace zo::nn
