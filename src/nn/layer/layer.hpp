// What a layer is to the two interpreters of the CPU: values of a batch (pass.cpp) and differences
// of them (difference_pass.cpp). A layer evaluates one unit of the plan, and keeps what it needs of
// a batch: packed weights, means. Each kind is a file of this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/lanes.hpp"
#include "nn/plan.hpp"
#include "zo/nn/difference_pass.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

/// The values of a batch, by node; those inside of units are empty.
template <class T>
struct batch {
  std::shared_ptr<const network> net;
  std::shared_ptr<const plan> how;
  index_t samples = 0;
  norm_mode mode = norm_mode::train;
  std::vector<T> parameters{};
  std::vector<lane_vector<T>> values{};
  // Channel by channel, of values whose channels are asked for one by one; else empty.
  std::vector<lane_vector<T>> planes{};

  const node& at(index_t id) const { return net->nodes()[static_cast<std::size_t>(id)]; }
  const T* data(index_t id) const { return values[static_cast<std::size_t>(id)].data(); }
  T* data(index_t id) { return values[static_cast<std::size_t>(id)].data(); }
  /// A channel of a group, from its first position on.
  plane_rows<T> channel(index_t id, index_t channel, index_t group) const {
    const shape& s = at(id).out;
    const auto place = static_cast<std::size_t>(id);
    if (place < planes.size() && !planes[place].empty()) {
      const index_t before = channel * groups_of(samples) + group;
      return {planes[place].data() + before * s.area() * lanes, 1, s.width};
    }
    return {data(id) + (group * s.size() + channel) * lanes, s.channels, s.width * s.channels};
  }
  std::span<const T> parameter(index_t number) const {
    if (number < 0) return {};
    const view& v = net->parameters()[static_cast<std::size_t>(number)];
    return std::span(parameters)
        .subspan(static_cast<std::size_t>(v.offset), static_cast<std::size_t>(v.size));
  }
};

/// Sums of the outputs of a product, for the batch norm that reads them: [item][channel][2][lane],
/// an item for each group and piece of an image.
struct product_sums {
  lane_vector<double> numbers{};
  index_t pieces = 0;
};

/// What a pass is called with.
template <class T>
struct pass_call {
  std::span<const T> statistics;
  int threads = 1;
  product_sums& sums;
};

/// The change of a value: [group][position][channel, or the only one][lane].
template <class T>
struct lane_change {
  extent how = extent::none;
  index_t channel = 0;  // the one, if it is one
  T* data = nullptr;

  /// Channels that lie beside each other at a position, and the first of them.
  index_t channels(index_t all) const { return how == extent::channel ? 1 : all; }
  index_t offset() const { return how == extent::channel ? channel : 0; }
};

/// Memory of one thread that a layer uses while it is at work.
class scratch_memory {
 public:
  void begin(index_t bytes) {
    fit(bytes_, bytes);
    used_ = 0;
  }
  template <class U>
  U* take(index_t count) {
    U* const from = reinterpret_cast<U*>(bytes_.data() + used_);
    used_ += size_of<U>(count);
    return from;
  }
  template <class U>
  static index_t size_of(index_t count) {
    constexpr index_t line = 64;
    return (count * static_cast<index_t>(sizeof(U)) + line - 1) / line * line;
  }

 private:
  lane_vector<unsigned char> bytes_;
  index_t used_ = 0;
};

/// Zeros but for the one channel of `c`: all channels of a value.
template <class T>
void widen(const shape& s, index_t groups, const lane_change<T>& c, T* out);

template <class T>
class change_sums;  // batch_norm.hpp
template <class T>
struct norm_base;

/// Writes positions [first, first + count) of the difference of a group.
using position_writer = std::function<void(index_t group, index_t first, index_t count)>;

/// A unit of which the difference is wanted.
template <class T>
struct question {
  const batch<T>& base;
  const reached& where;
  index_t samples;     // of the question; at most those of the base
  bool follows_batch;  // statistics of batch norms move with the difference
  bool by_sample;      // what it does to them is wanted, sample by sample
  lane_change<T> main{}, other{}, out{};
  change_sums<T>* sums_of_main = nullptr;  // for the batch norm of this unit, made if sums_made
  change_sums<T>* sums_of_out = nullptr;   // wanted of this product by the batch norm that follows
  const norm_base<T>* norm_after = nullptr;  // which is this
  std::vector<norm_sums>* sample_sums = nullptr;
  scratch_memory* scratch = nullptr;
  // Of a batch norm: leaves the writing to the product that reads it next, row by row, so that the
  // rows are still near. Of that product: what it calls before it reads.
  position_writer* left_to_do = nullptr;

  index_t groups() const { return groups_of(samples); }
};

template <class T>
class layer {
 public:
  layer(const network& net, const plan& /*how*/, const unit& of)
      : unit_(of), node_(net.nodes()[static_cast<std::size_t>(of.head())]) {}
  virtual ~layer() = default;
  virtual std::unique_ptr<layer> copy() const = 0;

  /// The value of the unit's last node, and of its sum where that is kept. There is room.
  virtual void run(batch<T>& of, const pass_call<T>& call) = 0;

  /// Keeps weights in the order in which products of differences need them.
  virtual void prepare_differences(const batch<T>&, products) {}

  /// Which channel of its node's output one element of a parameter moves; and the difference of
  /// that channel when the element moves by `step`, of all samples. Linear in the step.
  virtual index_t channel_of(const view& parameter, index_t element) const {
    return element / parameter.per_channel();
  }
  virtual void start(const batch<T>& /*base*/, const view& /*parameter*/, index_t /*element*/,
                     T /*step*/, const lane_change<T>& /*out*/) const {}

  /// What start would write for one group, times the cotangent of that channel, added up by lane:
  /// the same sums without writing it. False, and nothing is done, where this layer cannot.
  virtual bool pair(const batch<T>& /*base*/, const view& /*parameter*/, index_t /*element*/,
                    T /*step*/, index_t /*group*/, const T* /*cotangent*/, double* /*sums*/) const {
    return false;
  }

  /// The difference of the unit's last value.
  virtual void follow(const question<T>& q) const = 0;
  /// Whether `out` may be where `main` is, if both are of the same extent.
  virtual bool in_place() const { return false; }

  /// What a batch norm knows of its batch; null of other layers.
  virtual const norm_base<T>* norm() const { return nullptr; }

  /// Bytes that are kept of `count` samples, beside values and parameters; for differences too.
  virtual index_t bytes(index_t /*count*/, std::optional<products> /*differences*/) const {
    return 0;
  }
  /// Sums, in double, that are made for a batch norm of each group of samples.
  virtual index_t sums_of_group() const { return 0; }
  /// Bytes of scratch memory that follow needs.
  virtual index_t scratch_bytes() const { return 0; }

 protected:
  layer(const layer&) = default;

  const unit unit_;
  const node node_;  // the head of the unit
};

/// A layer that is copied as its class says.
template <class T, class Self>
class copied_layer : public layer<T> {
 public:
  using layer<T>::layer;
  std::unique_ptr<layer<T>> copy() const final {
    return std::make_unique<Self>(static_cast<const Self&>(*this));
  }
};

}  // namespace zo::nn::detail
