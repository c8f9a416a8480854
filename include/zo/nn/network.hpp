// A network described once: what is computed from what, and which parameters it has. No values and
// no gradients: evaluation is zo/nn/forward.hpp, questions about parameters zo/nn/objective.hpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/nn/operation.hpp"

namespace zo::nn {

/// Of one sample: channels of height x width. A plain vector has height and width 1.
struct shape {
  index_t channels = 1;
  index_t height = 1;
  index_t width = 1;

  index_t area() const { return height * width; }
  index_t size() const { return channels * area(); }
  bool operator==(const shape&) const = default;
};

std::string text_of(const shape& s);  // 16 x 32 x 32

/// One value of the network: the output of an operation on earlier values.
struct node {
  operation what = operation::input;
  std::string name{};
  index_t first = -1;   ///< the value it works on
  index_t second = -1;  ///< the other one (add)
  shape in{}, out{};
  index_t kernel = 1, stride = 1, padding = 0;
  index_t weight = -1, bias = -1;               ///< parameters, by number
  index_t running_mean = -1, running_var = -1;  ///< statistics, by number
  double epsilon = 1e-5;                        ///< batch_norm, layer_norm
  index_t heads = 1;                            ///< attention
  bool causal = false;                          ///< attention
  index_t multiplications = 0;                  ///< of one sample
};

/// A named part of the flat vector of parameters, or of that of statistics.
struct view {
  std::string name{};
  std::vector<index_t> dims{};
  index_t offset = 0;
  index_t size = 0;
  index_t node = -1;  ///< whose it is

  /// Elements that one output channel (of a convolution or linear map) depends on.
  index_t per_channel() const { return size / dims.front(); }
};

struct convolution_options {
  index_t channels = 1;
  index_t kernel = 3;
  index_t stride = 1;
  index_t padding = 1;
  bool bias = false;
};

struct pool_options {
  index_t kernel = 2;
  index_t stride = 2;
};

struct position_wise_options {
  bool bias = true;
  /// Between the name and "weight" or "bias": torch.nn.MultiheadAttention has in_proj_weight.
  std::string separator = ".";
};

struct attention_options {
  index_t heads = 1;
  bool causal = false;  ///< positions see themselves and those before
};

struct network_part;

/// A network as a graph in the order of its making. Every function returns the number of the value
/// it adds; names are PyTorch's, parameters are called name.weight and name.bias.
///
/// Throws std::invalid_argument for sizes that do not fit, naming the layer and its shapes, and for
/// networks that no machine could hold; the network is as before then.
class network {
 public:
  /// Of samples of this shape; value 0.
  explicit network(shape input);

  index_t input() const { return 0; }
  index_t convolution(index_t from, const std::string& name, const convolution_options& options);
  index_t linear(index_t from, const std::string& name, index_t outputs, bool bias = true);
  index_t batch_norm(index_t from, const std::string& name, double epsilon = 1e-5);
  index_t relu(index_t from);
  index_t max_pool(index_t from, const pool_options& options = {});
  index_t average_pool(index_t from, const pool_options& options = {});
  index_t global_average_pool(index_t from);
  index_t add(index_t a, index_t b);
  /// Every second row and column, at even ones; zeros in (channels - those of `from`) / 2 channels
  /// on each side.
  index_t subsample(index_t from, index_t channels);

  /// A row of numbers for each position, of a table of `entries` rows that the value there, a whole
  /// number, chooses: 1 x height x width becomes channels x height x width. As torch.nn.Embedding;
  /// a value that is no row makes NaN.
  index_t embedding(index_t from, const std::string& name, index_t entries, index_t channels);
  /// Adds a number of its own to each channel of each position: weight is positions x channels.
  index_t positions(index_t from, const std::string& name);
  /// The same linear map of the channels at each position. As torch.nn.Linear on (sample, position,
  /// channel): weight is outputs x channels.
  index_t position_wise(index_t from, const std::string& name, index_t outputs,
                        const position_wise_options& options = {});
  /// Over the channels, at each position by itself (Ba, Kiros and Hinton, 2016). As
  /// torch.nn.LayerNorm on (sample, position, channel).
  index_t layer_norm(index_t from, const std::string& name, double epsilon = 1e-5);
  /// x Phi(x) (Hendrycks and Gimpel, 2016), with the error function, as torch.nn.GELU.
  index_t gelu(index_t from);
  /// Softmax attention between positions (Vaswani et al., NeurIPS 2017). `from` has queries, keys
  /// and values beside each other, 3 d channels, each in `heads` parts; d channels come out. As
  /// torch's scaled_dot_product_attention between the two projections of a MultiheadAttention.
  index_t attention(index_t from, const attention_options& options = {});

  const std::vector<node>& nodes() const { return nodes_; }
  const std::vector<view>& parameters() const { return parameters_; }
  /// Running means and variances, which are no parameters: training updates them by itself.
  const std::vector<view>& statistics() const { return statistics_; }

  index_t parameter_count() const { return parameter_count_; }
  index_t statistic_count() const { return statistic_count_; }
  shape output() const { return nodes_.back().out; }
  /// Multiplications of one forward pass of one sample.
  index_t multiplications() const { return multiplications_; }

  /// The view of a name. Throws std::invalid_argument with the names there are.
  const view& parameter(const std::string& name) const;
  /// The parameter that holds coordinate i of the flat vector.
  const view& parameter_of(index_t coordinate) const;

  /// Values first … last, as a network of which `input`, an earlier value, is the input. Throws
  /// std::invalid_argument where one of them is made of any other earlier value, naming both.
  network_part part(index_t input, index_t first, index_t last) const;

 private:
  index_t append(node added);
  void admit(node& added, std::initializer_list<index_t> weight, index_t bias);
  void count(const node& added);
  index_t add_parameter(const std::string& name, std::vector<index_t> dims);
  index_t add_statistic(const std::string& name, index_t size);
  const node& at(index_t value, const char* what) const;

  std::vector<node> nodes_;
  std::vector<view> parameters_, statistics_;
  std::unordered_set<std::string> names_;  // of layers with parameters
  index_t parameter_count_ = 0, statistic_count_ = 0, multiplications_ = 0;
};

/// A part of a network, and where its parameters and statistics begin in those of the whole, of
/// which they are a stretch without gaps.
struct network_part {
  network net;
  index_t first_parameter = 0, first_statistic = 0;
};

/// How a block of a ResNet that halves the image is bridged (He et al., CVPR 2016, section 4.2).
enum class shortcut : std::uint8_t {
  identity,   ///< option A: every second row and column, zero channels around; no parameters
  projection  ///< option B: 1x1 convolution of stride 2 and batch norm, shortcut.0 and shortcut.1
};

struct resnet_options {
  index_t classes = 10;
  shortcut shortcuts = shortcut::identity;
};

/// ResNet-20, 32, 44, 56, 110 … for 32 x 32 images (depth = 6n + 2, at most 9002).
/// Source: He et al., CVPR 2016, section 4.2. Names as in pytorch_resnet_cifar10.
network resnet(index_t depth, const resnet_options& options = {});

/// The adjustable CNN of DeepZero (ICLR 2024): `depth` stages of 3x3 convolution with bias, batch
/// norm, ReLU and max pooling, then the mean over the image and a linear map.
network adjustable_cnn(shape input, index_t channels, index_t depth, index_t classes = 10);

enum class activation : std::uint8_t { relu, gelu };

struct transformer_options {
  index_t tokens = 16;    ///< of a sample
  index_t entries = 256;  ///< different tokens
  index_t width = 32;     ///< channels, a multiple of heads
  index_t heads = 4;
  index_t layers = 2;
  index_t feed_forward = 64;  ///< channels between the two linear maps of a layer
  index_t classes = 10;
  nn::activation activation = nn::activation::gelu;
  bool norm_first = false;  ///< layer norms before attention and maps, and not after the sums
  bool causal = false;
};

/// A classifier of sequences: embedding and positions, the encoder of torch.nn.TransformerEncoder
/// (Vaswani et al., NeurIPS 2017), the mean over positions, a linear map. Inputs are token numbers,
/// tokens of them a sample. Names: embedding, positions, encoder.layers.0.self_attn.in_proj_weight
/// … linear, as a module of PyTorch with these members has them. No dropout.
network transformer(const transformer_options& options = {});

/// Linear maps with ReLU between: sizes {784, 128, 10}.
network mlp(const std::vector<index_t>& sizes);

enum class initialization {
  kaiming_normal,   ///< weights N(0, 2 / fan_in) (He et al., ICCV 2015); biases zero
  kaiming_uniform,  ///< PyTorch's default of conv and linear: U(-1, 1) / sqrt(fan_in), biases too
  orthogonal        ///< weights as outputs x fan_in: orthonormal rows, or columns where those are
                    ///< fewer (Saxe et al., ICLR 2014; torch.nn.init.orthogonal_); biases zero
};

/// Parameters from a seed: weights and biases as `how` says, batch norms 1 and 0. The same numbers
/// on every machine.
template <class T>
void initialize(const network& net, initialization how, std::uint64_t seed,
                std::span<T> parameters);

/// Running means of 0 and variances of 1.
template <class T>
void initialize_statistics(const network& net, std::span<T> statistics);

namespace detail {

// The product of numbers that are not negative, or the largest index where it is more.
index_t product_of(std::initializer_list<index_t> factors);

}  // namespace detail

}  // namespace zo::nn
