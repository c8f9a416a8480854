// Networks of zo/nn on the device: zo::estimate(zo::cuda::on(stream), objective, x, g, zo::cge())
// trains them by differences, as zo::nn::objective does on the CPU. Plain C++: no nvcc is needed.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <variant>

#include "zo/config.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/nn/difference_pass.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"
#include "zo/objective.hpp"

namespace zo::cuda {

/// Samples in device memory and what is wanted of them. The memory stays the caller's, and must be
/// there and unchanged until the last probe; work that makes it belongs on the same stream.
template <class T>
struct network_batch {
  span<const T> inputs;  ///< count x input, row-major: sample, channel, row, column
  index_t count = 0;
  /// Classes, one a sample: mean softmax cross entropy. Or numbers, count x outputs: mean squared
  /// error over all of them. A class that the network does not have makes the loss NaN.
  std::variant<span<const index_t>, span<const double>> targets;
};

struct network_options {
  nn::norm_mode mode = nn::norm_mode::train;
  /// Of full differences. bfloat16, for networks of float: layers whose input channels are a
  /// multiple of 16 and outputs of 8 use tensor cores, with weights in bfloat16 and sums in float,
  /// and differences of images are kept in bfloat16. Values of whole points are always exact.
  nn::products products = nn::products::exact;
  /// Device memory for the values of a pass and for probes: as many probes go together as fit, and
  /// fewer where the device has less.
  index_t max_bytes = index_t{4} << 30;
};

/// Models zo::cuda::coordinate_objective and zo::cuda::batch_objective over the flat vector of
/// parameters, which is x itself: the loss of a minibatch that `batch_of` names by its sample.
///
/// prepare makes one pass and keeps its values. Probes of one parameter tensor go together through
/// the layers after it: of its own layer's output only the moved channel differs, the next
/// convolution needs that channel alone, then full differences meet the unperturbed weights; batch
/// norms, ReLU, pools and losses have exact forms, so that no losses are subtracted. Whole points
/// are evaluated one after another.
///
/// A result does not depend on how many probes go together, and the same call gives the same bits.
/// Memory: as options say, kept until the objective goes. Everything is enqueued on the policy's
/// stream, and nothing waits but the probe without `known`.
template <class T>
class network_objective {
 public:
  /// The network is copied. `statistics` are the running ones, in device memory: read in eval mode,
  /// where a negative variance makes the loss NaN. They stay the caller's and must outlive this.
  /// Throws std::invalid_argument for sizes that do not fit the network.
  network_objective(const policy& on, const nn::network& net,
                    std::function<network_batch<T>(sample_id)> batch_of, span<const T> statistics,
                    const network_options& options = {});
  network_objective(network_objective&&) noexcept;
  network_objective& operator=(network_objective&&) noexcept;
  ~network_objective();

  /// Throws std::invalid_argument where a batch does not fit the network, a batch norm in train
  /// mode sees one number a channel, the pass and one probe do not fit into max_bytes, or the
  /// stream is not the policy's.
  void prepare(span<const T> x, span<double> loss, cudaStream_t stream, sample_id sample);

  /// `known` are the coordinates in host memory: what goes together is decided there. zo::cge calls
  /// this one. Cost: what the moved channels reach. Throws zo::cuda::error where the device has no
  /// room for one probe.
  void probe(std::span<const index_t> known, span<const index_t> coordinates, span<const T> steps,
             span<double> differences, cudaStream_t stream);
  /// Reads the coordinates back first: waits for the stream, so not while it is captured.
  void probe(span<const index_t> coordinates, span<const T> steps, span<double> differences,
             cudaStream_t stream);

  /// losses[k] of whole points, in passes of their own: prepare anew before the next probe.
  void operator()(points<T> at, span<double> losses, cudaStream_t stream, sample_id sample);

  /// Moves running means and variances towards those of the last prepared batch, as PyTorch does:
  /// variances unbiased. Only in train mode, by a momentum from 0 to 1.
  void update_statistics(span<T> statistics, double momentum = 0.1);

  /// Multiplications of the probes since the last prepare, counted as zo::nn::objective does.
  index_t multiplications() const;

  /// Device memory held now.
  index_t bytes() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace zo::cuda
