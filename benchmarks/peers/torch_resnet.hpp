// ResNet-20 for CIFAR in LibTorch, and the DeepZero step as its paper describes it: coordinates one
// after another, each evaluated from the block that holds it to the loss.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace peers {

struct named_tensor {
  std::string name;
  std::vector<std::int64_t> dims;
  std::span<const float> values;
};

/// How tensors of images lie in memory: PyTorch's default, which published code uses, or the one
/// that its convolutions on a CPU are fastest with.
enum class layout { usual, channels_last };

enum class precision { single, twice };

struct torch_options {
  layout lies = layout::usual;
  precision type = precision::single;
};

/// Everything else that favours LibTorch and changes no result is on: no Python, inference mode,
/// oneDNN, activations in place, batch norms without running statistics, weights moved and restored
/// through a pointer.
class torch_resnet {
 public:
  virtual ~torch_resnet() = default;

  /// Threads of PyTorch's loops, in the whole process.
  virtual void use_threads(int threads) = 0;

  /// One forward pass in train mode; the logits of every sample.
  virtual std::vector<double> logits() = 0;
  /// The same pass for its time: the logits are computed and dropped.
  virtual void forward() = 0;

  /// Keeps the input of each of 12 blocks (conv1, bn1, nine residual blocks, the head); the loss.
  virtual double prepare() = 0;

  /// losses[k]: with mu added to element elements[k] of a parameter, from the block that holds it
  /// on. Mean cross entropy over the batch, batch norms in train mode; the weight is put back
  /// exactly.
  virtual void probe(const std::string& parameter, std::span<const std::int64_t> elements,
                     double mu, std::span<double> losses) = 0;
};

/// A batch of images (3 x 32 x 32 each) and classes, and weights named as in
/// pytorch_resnet_cifar10. Nothing in a build without LibTorch.
std::unique_ptr<torch_resnet> make_torch_resnet(std::span<const named_tensor> weights,
                                                std::span<const float> images,
                                                std::span<const std::int64_t> classes,
                                                const torch_options& how = {});

/// "LibTorch 1.13.0, AVX2, oneDNN 2.6.3": what its results were computed by.
std::string torch_version();

}  // namespace peers
