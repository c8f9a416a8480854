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
  index node = -1;
  std::vector<double> of_difference{}, of_squares{};
};

/// Bytes that differences of `count` samples take at most, beside those of the base pass.
template <class T>
index difference_bytes(const network& net, index count);

/// What one question costs in multiplications and numbers written, a sample: the values from
/// `node` on, of which one channel has moved (`one_channel`) or all. From node 0 on: one pass.
double cost_from(const network& net, index node, bool one_channel);

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
  std::span<const T> operator()(index coordinate, T step);

  /// Outputs after the values of `node` changed by `moved`, minus those before: samples x outputs,
  /// valid until the next call. `moved` is samples x values of the node, row-major by sample. With
  /// coupling::frozen it may be of fewer samples than the base pass had: the first ones. Cost: a
  /// forward pass of these samples from the node on.
  std::span<const T> from(index node, std::span<const T> moved, coupling how);

  /// After from(…, coupling::frozen): each batch norm that the difference reached, in their order.
  std::span<const norm_sums> sums() const { return sample_sums_; }

  /// Multiplications made so far, to be compared with network::multiplications().
  index multiplications() const { return multiplications_; }

 private:
  enum class extent { none, channel, full };

  // The difference of one value: nothing, one channel of every sample, or all of it.
  struct change {
    extent how = extent::none;
    index channel = 0;
    detail::lane_vector<T> data{};  // [group][position][channel, or the only one][lane]
  };

  void start(const view& moved, index element, T step, change& out);
  std::span<const T> finish(index from);
  void follow(index id);
  void follow_chain(index id);
  void convolve(index id, const change& in, index group, change& out, bool sums);
  void measure(index norm, const change& d, index group, index first, index positions);
  void measure_samples(index norm, const change& d);
  void set_pivots(index norm, const change& d, index positions);
  void factors_of(index norm, const change& d);
  detail::norm_response<T> careful_response(index norm, const change& d, index channel,
                                            const detail::norm_input& input) const;
  bool follows_batch() const;
  void widen(const shape& s, change& c);
  void reserve(change& c, extent how, index channel, const shape& s);
  void release(index id, index user);
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
  index samples_ = 0;  // of the last question
  coupling how_ = coupling::batch;
  std::vector<detail::bfloat16_pair> rounded_;  // differences of a group
  detail::lane_vector<T> transformed_;          // rows of them
  index multiplications_ = 0;
};

}  // namespace zo::nn
