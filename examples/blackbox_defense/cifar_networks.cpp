#include "cifar_networks.hpp"

#include "checkpoint_tensors.hpp"

namespace defense {

namespace nn = torch::nn;

namespace {

nn::Conv2d convolution3(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

nn::Conv2d encoding(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                    std::int64_t padding) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding));
}

// The weights of a ConvTranspose2d, but its arithmetic as a 1x1 convolution whose products are then
// added where they belong: libtorch runs the former in oneDNN, a transposed convolution in whatever
// BLAS is installed, which on a bare Debian is twenty times slower.
class transposed_convolution_impl : public nn::Module {
 public:
  transposed_convolution_impl(std::int64_t in, std::int64_t out, std::int64_t kernel,
                              std::int64_t stride, std::int64_t padding)
      : kernel_(kernel), stride_(stride), padding_(padding) {
    weight_ = register_parameter("weight", torch::zeros({in, out, kernel, kernel}));
    bias_ = register_parameter("bias", torch::zeros({out}));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const auto products = torch::conv2d(x, weight_.flatten(1).t().unsqueeze(2).unsqueeze(3));
    const std::int64_t rows = (x.size(2) - 1) * stride_ - 2 * padding_ + kernel_;
    const std::int64_t columns = (x.size(3) - 1) * stride_ - 2 * padding_ + kernel_;
    const auto options = nn::functional::FoldFuncOptions({rows, columns}, {kernel_, kernel_})
                             .stride(stride_)
                             .padding(padding_);
    return nn::functional::fold(products.flatten(2), options) + bias_.view({1, -1, 1, 1});
  }

 private:
  torch::Tensor weight_, bias_;
  std::int64_t kernel_, stride_, padding_;
};
TORCH_MODULE_IMPL(transposed_convolution, transposed_convolution_impl);

class basic_block : public nn::Module {
 public:
  basic_block(std::int64_t in, std::int64_t out, std::int64_t stride)
      : added_(out - in), stride_(stride) {
    conv1_ = register_module("conv1", convolution3(in, out, stride));
    bn1_ = register_module("bn1", nn::BatchNorm2d(out));
    conv2_ = register_module("conv2", convolution3(out, out, 1));
    bn2_ = register_module("bn2", nn::BatchNorm2d(out));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const auto y = bn2_(conv2_(torch::relu(bn1_(conv1_(x)))));
    return torch::relu(y + shortcut(x));
  }

 private:
  torch::Tensor shortcut(const torch::Tensor& x) const {
    if (stride_ == 1 && added_ == 0) return x;
    const auto every = x.slice(2, 0, {}, stride_).slice(3, 0, {}, stride_);
    const std::int64_t side = added_ / 2;
    return torch::constant_pad_nd(every, {0, 0, 0, 0, side, added_ - side});
  }

  std::int64_t added_;
  std::int64_t stride_;
  nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
};

nn::Sequential blocks(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Sequential(basic_block(in, out, stride), basic_block(out, out, 1),
                        basic_block(out, out, 1));
}

}  // namespace

resnet20_impl::resnet20_impl() {
  conv1 = register_module("conv1", convolution3(3, 16, 1));
  bn1 = register_module("bn1", nn::BatchNorm2d(16));
  layer1 = register_module("layer1", blocks(16, 16, 1));
  layer2 = register_module("layer2", blocks(16, 32, 2));
  layer3 = register_module("layer3", blocks(32, 64, 2));
  linear = register_module("linear", nn::Linear(64, 10));
}

torch::Tensor resnet20_impl::forward(const torch::Tensor& images) {
  const auto mean = torch::tensor({0.485, 0.456, 0.406}, images.options()).view({1, 3, 1, 1});
  const auto deviation = torch::tensor({0.229, 0.224, 0.225}, images.options()).view({1, 3, 1, 1});
  auto x = torch::relu(bn1(conv1((images - mean) / deviation)));
  x = layer3->forward(layer2->forward(layer1->forward(x)));
  return linear(x.mean({2, 3}));
}

nn::Sequential make_cifar_encoder() {
  return nn::Sequential(encoding(3, 24, 4, 4, 0), nn::ReLU(), encoding(24, 48, 3, 3, 2), nn::ReLU(),
                        encoding(48, 96, 4, 2, 1), nn::ReLU(), encoding(96, 192, 2, 2, 0),
                        nn::ReLU(), nn::Flatten());
}

nn::Sequential make_cifar_decoder() {
  // Module 0 of the weight file is the first convolution; the reshaping in front has no weights.
  nn::Sequential decoder;
  decoder->push_back("reshape", nn::Unflatten(nn::UnflattenOptions(1, {192, 1, 1})));
  decoder->push_back("0", transposed_convolution(192, 96, 2, 2, 0));
  decoder->push_back("1", nn::ReLU());
  decoder->push_back("2", transposed_convolution(96, 48, 4, 2, 1));
  decoder->push_back("3", nn::ReLU());
  decoder->push_back("4", transposed_convolution(48, 24, 3, 3, 2));
  decoder->push_back("5", nn::ReLU());
  decoder->push_back("6", transposed_convolution(24, 3, 4, 4, 0));
  decoder->push_back("7", nn::Sigmoid());
  return decoder;
}

void load_weights(nn::Module& module, const app::safetensors& file, const std::string& prefix) {
  named_tensors wanted;
  for (const auto& item : module.named_parameters()) {
    wanted.emplace_back(prefix + item.key(), item.value());
  }
  for (const auto& item : module.named_buffers()) {
    if (item.key().ends_with("num_batches_tracked")) continue;
    wanted.emplace_back(prefix + item.key(), item.value());
  }
  unpack(file, wanted);
}

}  // namespace defense
