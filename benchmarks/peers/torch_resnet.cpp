#include "torch_resnet.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <map>
#include <stdexcept>

namespace peers {
namespace {

constexpr int blocks = 12;

class resnet final : public torch_resnet {
 public:
  resnet(std::span<const named_tensor> weights, std::span<const float> images,
         std::span<const std::int64_t> classes, const torch_options& how) {
    const c10::InferenceMode no_autograd;
    const auto count = static_cast<std::int64_t>(classes.size());
    const at::ScalarType scalar = how.type == precision::single ? at::kFloat : at::kDouble;
    for (const named_tensor& w : weights) {
      weights_[w.name] = copy_of(w.values, w.dims).to(scalar);
    }
    images_ = copy_of(images, {count, 3, 32, 32}).to(scalar);
    classes_ = at::empty({count}, at::kLong);
    std::copy(classes.begin(), classes.end(), classes_.data_ptr<std::int64_t>());
    for (int stage = 1; stage <= 3; ++stage) {
      for (int k = 0; k < 3; ++k) {
        const std::string name = "layer" + std::to_string(stage) + "." + std::to_string(k) + ".";
        residuals_.push_back({&at(name + "conv1.weight"), &at(name + "bn1.weight"),
                              &at(name + "bn1.bias"), &at(name + "conv2.weight"),
                              &at(name + "bn2.weight"), &at(name + "bn2.bias"),
                              stage > 1 && k == 0});
      }
    }
    if (how.lies == layout::channels_last) {
      images_ = images_.contiguous(at::MemoryFormat::ChannelsLast);
      for (auto& [name, weight] : weights_) {
        if (weight.dim() == 4) weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
      }
    }
  }

  void use_threads(int threads) override {
    if (at::get_num_threads() != threads) at::set_num_threads(threads);
  }

  std::vector<double> logits() override {
    const c10::InferenceMode no_autograd;
    const at::Tensor found = from(0, images_).to(at::kDouble).contiguous();
    const double* const first = found.data_ptr<double>();
    return {first, first + found.numel()};
  }

  void forward() override {
    const c10::InferenceMode no_autograd;
    from(0, images_);
  }

  double prepare() override {
    const c10::InferenceMode no_autograd;
    inputs_.assign(1, images_);
    for (int b = 0; b + 1 < blocks; ++b) inputs_.push_back(block(b, inputs_.back()));
    return loss(block(blocks - 1, inputs_.back()));
  }

  void probe(const std::string& parameter, std::span<const std::int64_t> elements, double mu,
             std::span<double> losses) override {
    const c10::InferenceMode no_autograd;
    at::Tensor& weight = at(parameter);
    const int first = block_of(parameter);
    for (std::size_t k = 0; k < elements.size(); ++k) {
      // Elements are counted row-major, whatever the layout.
      std::int64_t rest = elements[k], place = 0;
      for (std::int64_t d = weight.dim() - 1; d >= 0; --d) {
        place += rest % weight.size(d) * weight.stride(d);
        rest /= weight.size(d);
      }
      losses[k] = weight.scalar_type() == at::kFloat
                      ? moved(weight.data_ptr<float>() + place, static_cast<float>(mu), first)
                      : moved(weight.data_ptr<double>() + place, mu, first);
    }
  }

 private:
  struct residual {
    const at::Tensor *conv1, *gamma1, *beta1, *conv2, *gamma2, *beta2;
    bool shrinks;
  };

  static at::Tensor copy_of(std::span<const float> values, at::IntArrayRef dims) {
    at::Tensor copy = at::empty(dims, at::kFloat);
    if (copy.numel() != static_cast<std::int64_t>(values.size())) {
      throw std::invalid_argument("torch_resnet: a tensor's values do not fit its shape");
    }
    std::copy(values.begin(), values.end(), copy.data_ptr<float>());
    return copy;
  }

  at::Tensor& at(const std::string& name) {
    const auto found = weights_.find(name);
    if (found == weights_.end()) throw std::invalid_argument("torch_resnet: no weight " + name);
    return found->second;
  }

  static at::Tensor normed(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta) {
    return at::batch_norm(x, gamma, beta, {}, {}, true, 0.1, 1e-5, false);
  }

  static at::Tensor evaluated(const residual& r, const at::Tensor& x) {
    const std::int64_t stride = r.shrinks ? 2 : 1;
    at::Tensor y = at::conv2d(x, *r.conv1, {}, stride, 1);
    y = normed(y, *r.gamma1, *r.beta1).relu_();
    y = normed(at::conv2d(y, *r.conv2, {}, 1, 1), *r.gamma2, *r.beta2);
    if (!r.shrinks) return y.add_(x).relu_();
    const at::Tensor some = x.slice(2, 0, x.size(2), 2).slice(3, 0, x.size(3), 2);
    const std::int64_t before = (y.size(1) - x.size(1)) / 2;  // option A
    y.narrow(1, before, x.size(1)).add_(some);
    return y.relu_();
  }

  at::Tensor block(int number, const at::Tensor& x) {
    if (number == 0) return at::conv2d(x, at("conv1.weight"), {}, 1, 1);
    if (number == 1) return normed(x, at("bn1.weight"), at("bn1.bias")).relu_();
    if (number < blocks - 1) return evaluated(residuals_[static_cast<std::size_t>(number - 2)], x);
    return at::linear(x.mean({2, 3}), at("linear.weight"), at("linear.bias"));
  }

  at::Tensor from(int first, at::Tensor x) {
    for (int b = first; b < blocks; ++b) x = block(b, x);
    return x;
  }

  static int block_of(const std::string& parameter) {
    if (parameter.starts_with("conv1.")) return 0;
    if (parameter.starts_with("bn1.")) return 1;
    if (parameter.starts_with("linear.")) return blocks - 1;
    return 2 + 3 * (parameter.at(5) - '1') + (parameter.at(7) - '0');  // layerS.K.
  }

  double loss(const at::Tensor& logits) const {
    return at::cross_entropy_loss(logits, classes_).item().toDouble();
  }

  template <class T>
  double moved(T* place, T mu, int first) {
    const T before = *place;
    *place += mu;
    const double found = loss(from(first, inputs_[static_cast<std::size_t>(first)]));
    *place = before;
    return found;
  }

  std::map<std::string, at::Tensor> weights_;
  std::vector<residual> residuals_;
  at::Tensor images_, classes_;
  std::vector<at::Tensor> inputs_;  // of each block, after prepare
};

}  // namespace

std::unique_ptr<torch_resnet> make_torch_resnet(std::span<const named_tensor> weights,
                                                std::span<const float> images,
                                                std::span<const std::int64_t> classes,
                                                const torch_options& how) {
  return std::make_unique<resnet>(weights, images, classes, how);
}

std::string torch_version() {
  // "PyTorch built with:", then a line for each: oneDNN is called MKL-DNN there.
  const std::string all = at::show_config();
  const auto rest_of = [&](const std::string& begin) {
    const std::size_t at = all.find(begin);
    if (at == std::string::npos) return std::string("none");
    const std::size_t from = at + begin.size();
    return all.substr(from, all.find_first_of(" \n", from) - from);
  };
  return std::string("LibTorch ") + TORCH_VERSION + ", oneDNN " + rest_of("MKL-DNN ") + ", " +
         rest_of("CPU capability usage: ") + " elsewhere";
}

}  // namespace peers
