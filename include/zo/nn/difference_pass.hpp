// What a change of one parameter does to the outputs, without ever subtracting two passes.
//
// The base pass is kept; only the difference of each value travels. A weight moves one output
// channel of its layer, and through batch norm, ReLU, pooling and shortcuts it stays that channel;
// the next convolution needs that channel's contribution alone; from there on differences are full,
// and go through the unperturbed weights. Layers before the weight are never evaluated again.
// Convolutions and linear maps are linear in the difference; batch norms, ReLU, pools and losses
// have exact forms, so that a step may be as small as one likes.
#pragma once

#include <span>
#include <vector>

#include "zo/config.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn {

/// Differences of all values of a network for one perturbed parameter. Holds buffers, so one object
/// serves one thread; the base pass and the parameters stay the caller's and must not change.
/// Memory: the differences that are still needed, at most about three values of the batch.
template <class T>
class difference_pass {
 public:
  difference_pass(const network& net, const forward_pass<T>& base, std::span<const T> parameters);

  /// Outputs of the base pass after parameter `coordinate` moved by `step`, minus those before:
  /// count x outputs, valid until the next call. Cost: what the changed channel reaches.
  std::span<const T> operator()(index coordinate, T step);

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
  void measure(index norm, const change& d, index group, index first, index positions);
  void factors_of(index norm, const change& d);
  void widen(const shape& s, change& c);
  void reserve(change& c, extent how, index channel, const shape& s);
  void release(index id, index user);
  std::span<const T> parameter(index number) const;

  const network& net_;
  const forward_pass<T>& base_;
  std::span<const T> parameters_;
  std::vector<change> changes_;                // by node
  std::vector<detail::lane_vector<T>> spare_;  // memory of differences no longer needed
  std::vector<std::vector<double>> sums_;      // by batch norm, of the input's difference
  std::vector<T> scale_, slope_, shift_;       // of the batch norm at hand, by channel
  std::vector<T> outputs_;
  index multiplications_ = 0;
};

}  // namespace zo::nn
