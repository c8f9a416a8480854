#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "first_order.hpp"

namespace deepzero {

namespace {

using zo::nn::network;
using zo::nn::node;
using zo::nn::operation;

class back_propagation : public estimator {
 public:
  back_propagation(const network& net, const settings& s) : net_(net), s_(s), pass_(net) {
    torch::set_num_threads(s.threads);
  }

  answer operator()(const question& asked, std::span<float> gradient) override {
    const torch::Tensor parameters = copied(asked.parameters).requires_grad_();
    const torch::Tensor loss = torch::cross_entropy_loss(logits(parameters, asked), labels(asked));
    const auto value = loss.item<double>();
    if (!std::isfinite(value)) refuse_estimate(asked.step, value, s_);
    loss.backward();
    const torch::Tensor found = parameters.grad();
    std::copy_n(found.data_ptr<float>(), gradient.size(), gradient.data());
    pass_.run(zo::par.with_threads(s_.threads), asked.parameters, asked.statistics,
              asked.batch.inputs, asked.batch.count, zo::nn::norm_mode::train);
    return {value, 0, 3};
  }

  void update_statistics(std::span<float> statistics) override {
    pass_.update_statistics(statistics);
  }

 private:
  static torch::Tensor copied(std::span<const float> values) {
    torch::Tensor out = torch::empty({static_cast<std::int64_t>(values.size())});
    std::copy_n(values.data(), values.size(), out.data_ptr<float>());
    return out;
  }

  static torch::Tensor labels(const question& asked) {
    const auto targets = asked.batch.loss.targets();
    torch::Tensor out = torch::empty({static_cast<std::int64_t>(targets.size())}, torch::kInt64);
    std::copy_n(targets.data(), targets.size(), out.data_ptr<std::int64_t>());
    return out;
  }

  torch::Tensor parameter(const torch::Tensor& all, zo::index_t number) const {
    if (number < 0) return {};
    const zo::nn::view& v = net_.parameters()[static_cast<std::size_t>(number)];
    return all.narrow(0, v.offset, v.size).view(v.dims);
  }

  torch::Tensor logits(const torch::Tensor& parameters, const question& asked) const {
    const zo::nn::shape in = net_.nodes().front().out;
    std::vector<torch::Tensor> values = {
        copied(asked.batch.inputs).view({asked.batch.count, in.channels, in.height, in.width})};
    for (std::size_t id = 1; id < net_.nodes().size(); ++id) {
      const node& n = net_.nodes()[id];
      const torch::Tensor& x = values[static_cast<std::size_t>(n.first)];
      const torch::Tensor second =
          n.second < 0 ? torch::Tensor() : values[static_cast<std::size_t>(n.second)];
      values.push_back(value(n, parameters, x, second));
    }
    return values.back().flatten(1);
  }

  torch::Tensor value(const node& n, const torch::Tensor& parameters, const torch::Tensor& x,
                      const torch::Tensor& second) const {
    const torch::Tensor weight = parameter(parameters, n.weight);
    const torch::Tensor bias = parameter(parameters, n.bias);
    switch (n.what) {
      case operation::convolution:
        return torch::conv2d(x, weight, bias, n.stride, n.padding);
      case operation::linear:
        return torch::linear(x.flatten(1), weight, bias).unsqueeze(2).unsqueeze(3);
      case operation::batch_norm:
        return torch::batch_norm(x, weight, bias, {}, {}, true, 0.1, n.epsilon, false);
      case operation::relu:
        return torch::relu(x);
      case operation::max_pool:
        return torch::max_pool2d(x, n.kernel, n.stride);
      case operation::average_pool:
        return torch::avg_pool2d(x, n.kernel, n.stride);
      case operation::global_average_pool:
        return torch::adaptive_avg_pool2d(x, {1, 1});
      case operation::add:
        return x + second;
      case operation::subsample: {
        const std::int64_t before = (n.out.channels - n.in.channels) / 2;
        const std::int64_t after = n.out.channels - n.in.channels - before;
        const torch::Tensor every_second = x.slice(2, 0, x.size(2), 2).slice(3, 0, x.size(3), 2);
        return torch::constant_pad_nd(every_second, {0, 0, 0, 0, before, after});
      }
      case operation::input:
      case operation::embedding:
      case operation::positions:
      case operation::layer_norm:
      case operation::gelu:
      case operation::attention:
        break;  // of no network here
    }
    zo::detail::require(false, "deepzero: first-order training knows no ",
                        zo::nn::traits_of(n.what).name);
    return x;
  }

  const network& net_;
  const settings& s_;
  zo::nn::forward_pass<float> pass_;
};

}  // namespace

bool has_first_order() { return true; }

std::string without_first_order() { return ""; }

std::unique_ptr<estimator> make_first_order(const network& net, const settings& s) {
  return std::make_unique<back_propagation>(net, s);
}

}  // namespace deepzero
