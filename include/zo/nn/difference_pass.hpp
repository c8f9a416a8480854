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
#include "zo/nn/element.hpp"
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

/// Bytes that differences of `count` samples take at most, beside those of the base pass.
template <class T>
index_t difference_bytes(const network& net, index_t count);

/// What one question costs in multiplications and numbers written, a sample: the values from
/// `node` on, of which one channel has moved (`one_channel`) or all. From node 0 on: one pass.
double cost_from(const network& net, index_t node, bool one_channel);

/// Differences of all values of a network for one perturbed parameter. Holds buffers, so one object
/// serves one thread. Memory: difference_bytes, the differences that are still needed.
template <class T>
class difference_pass {
 public:
  /// The base pass stays the caller's: it must outlive this, has run, and its prepare_differences
  /// says in what products are formed. Throws std::invalid_argument otherwise.
  explicit difference_pass(const forward_pass<T>& base);
  explicit difference_pass(const forward_pass<T>&&) = delete;

  /// After another run and prepare_differences of the base pass, without which questions are
  /// refused then: counts multiplications from zero.
  void begin();

  /// Outputs of the base pass after parameter `coordinate` moved by `step`, minus those before:
  /// count x outputs, valid until the next call. Cost: what the changed channel reaches.
  std::span<const T> operator()(index_t coordinate, T step);

  /// Outputs after the values of `node` changed by `moved`, minus those before: samples x outputs,
  /// valid until the next call. `moved` is samples x values of the node, row-major by sample. With
  /// coupling::frozen it may be of fewer samples than the base pass had: the first ones. Cost: a
  /// forward pass of these samples from the node on.
  std::span<const T> from(index_t node, std::span<const T> moved, coupling how);

  /// After from(…, coupling::frozen): each batch norm that the difference reached, in their order.
  std::span<const norm_sums> sums() const { return sample_sums_; }

  /// Multiplications made so far, to be compared with network::multiplications().
  index_t multiplications() const { return multiplications_; }

 private:
  enum class extent { none, channel, full };

  // The difference of one value: nothing, one channel of every sample, or all of it.
  struct change {
    extent how = extent::none;
    index_t channel = 0;
    detail::lane_vector<T> data{};  // [group][position][channel, or the only one][lane]
  };

  void start(const view& moved, index_t element, T step, change& out);
  std::span<const T> finish(index_t from);
  void follow(index_t id);
  void follow_chain(index_t id);
  void convolve(index_t id, const change& in, index_t group, change& out, bool sums);
  void measure(index_t norm, const change& d, index_t group, index_t first, index_t positions);
  void measure_samples(index_t norm, const change& d);
  void set_pivots(index_t norm, const change& d, index_t positions);
  void factors_of(index_t norm, const change& d);
  detail::norm_response<T> careful_response(index_t norm, const change& d, index_t channel,
                                            const detail::norm_input& input) const;
  bool follows_batch() const;
  void widen(const shape& s, change& c);
  void reserve(change& c, extent how, index_t channel, const shape& s);
  void release(index_t id, index_t user);
  void clear();

  const forward_pass<T>& base_;
  std::shared_ptr<const network> net_;           // the base pass's, which may be copied over
  std::uint64_t run_ = 0;                        // of the base pass
  std::vector<change> changes_;                  // by node
  std::vector<detail::lane_vector<T>> spare_;    // memory of differences no longer needed
  std::vector<std::vector<double>> sums_;        // by batch norm, of the input's difference
  std::vector<std::vector<T>> pivots_;           // by batch norm, near the mean of that difference
  std::vector<T> scale_, slope_, shift_, rest_;  // of the batch norm at hand, by channel
  std::vector<T> outputs_;
  std::vector<norm_sums> sample_sums_;
  index_t samples_ = 0;  // of the last question
  coupling how_ = coupling::batch;
  std::vector<detail::bfloat16_pair> rounded_;  // differences of a group
  detail::lane_vector<T> transformed_;          // rows of them
  index_t multiplications_ = 0;
};

}  // namespace zo::nn
