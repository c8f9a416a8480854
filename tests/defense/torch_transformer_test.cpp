// The transformer of zo::nn against the module of LibTorch that it describes, in double.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>
#include <zo/nn/network.hpp>
#include <zo/nn/objective.hpp>
#include <zo/nn/weights.hpp>
#include <zo/zo.hpp>

namespace {

using zo::index_t;

struct peer : torch::nn::Module {
  explicit peer(const zo::nn::transformer_options& o)
      : embedding(register_module("embedding", torch::nn::Embedding(o.entries, o.width))),
        positions(register_module("positions", torch::nn::Embedding(o.tokens, o.width))),
        encoder(register_module("encoder",
                                torch::nn::TransformerEncoder(torch::nn::TransformerEncoderOptions(
                                    torch::nn::TransformerEncoderLayer(
                                        torch::nn::TransformerEncoderLayerOptions(o.width, o.heads)
                                            .dim_feedforward(o.feed_forward)
                                            .dropout(0)
                                            .activation(activation_of(o))),
                                    o.layers)))),
        linear(register_module("linear", torch::nn::Linear(o.width, o.classes))),
        causal(o.causal) {
    to(torch::kFloat64);
  }
  static torch::nn::activation_t activation_of(const zo::nn::transformer_options& o) {
    if (o.activation == zo::nn::activation::relu) return torch::kReLU;
    return torch::kGELU;
  }
  torch::Tensor forward(const torch::Tensor& tokens) {
    const torch::Tensor numbers = torch::arange(tokens.size(1));
    const torch::Tensor x = embedding(tokens) + positions(numbers);
    const torch::Tensor mask =
        causal ? torch::full({tokens.size(1), tokens.size(1)}, -INFINITY, torch::kFloat64).triu(1)
               : torch::Tensor();
    const torch::Tensor y = encoder(x.transpose(0, 1), mask).transpose(0, 1);
    return linear(y.mean(1));
  }
  torch::nn::Embedding embedding, positions;
  torch::nn::TransformerEncoder encoder;
  torch::nn::Linear linear;
  bool causal;
};

std::vector<double> numbers_of(const torch::Tensor& t) {
  const torch::Tensor all = t.detach().to(torch::kFloat64).contiguous();
  return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
}

// Loads the module's tensors by their names, and compares logits and every entry of CGE.
void expect_peer(const zo::nn::transformer_options& o) {
  torch::manual_seed(5);
  peer theirs(o);
  // Biases and norms that are not trivial.
  for (auto& p : theirs.named_parameters()) {
    const torch::NoGradGuard none;
    p.value().add_(torch::randn_like(p.value()), 0.1);
  }
  const zo::nn::network net = zo::nn::transformer(o);
  std::vector<std::vector<double>> kept;
  std::vector<zo::nn::named_values<double>> tensors;
  for (const auto& p : theirs.named_parameters()) {
    kept.push_back(numbers_of(p.value()));
    tensors.push_back({p.key(), {p.value().sizes().begin(), p.value().sizes().end()}, kept.back()});
  }
  std::vector<double> parameters(static_cast<std::size_t>(net.parameter_count()));
  zo::nn::load<double>(net, tensors, "", parameters, {});
  constexpr index_t count = 5;
  const torch::Tensor tokens = torch::randint(o.entries, {count, o.tokens}, torch::kInt64);
  const torch::Tensor targets = torch::randint(o.classes, {count}, torch::kInt64);
  const std::vector<double> inputs = numbers_of(tokens);
  const std::vector<index_t> classes(targets.data_ptr<std::int64_t>(),
                                     targets.data_ptr<std::int64_t>() + count);
  zo::nn::objective<double> ours(
      net,
      [&](zo::sample_id) {
        return zo::nn::minibatch<double>{inputs, count, zo::nn::cross_entropy(classes, o.classes)};
      },
      std::span<const double>());
  std::vector<double> gradient(parameters.size());
  const auto found = zo::estimate(zo::seq, ours, parameters, gradient,
                                  zo::cge({.smoothing = 1e-6}, zo::central{}));
  const torch::Tensor logits = theirs.forward(tokens);
  const torch::Tensor loss = torch::nn::functional::cross_entropy(logits, targets);
  loss.backward();
  EXPECT_NEAR(found.value, loss.item<double>(), 1e-9);
  const std::vector<double> expected = numbers_of(logits);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(ours.pass().outputs()[i], expected[i], 1e-9);
  }
  for (const auto& p : theirs.named_parameters()) {
    const std::vector<double> slopes = numbers_of(p.value().grad());
    const zo::nn::view& v = net.parameter(p.key());
    for (std::size_t i = 0; i < slopes.size(); ++i) {
      EXPECT_NEAR(gradient[static_cast<std::size_t>(v.offset) + i], slopes[i], 1e-9)
          << p.key() << "[" << i << "]";
    }
  }
}

constexpr zo::nn::transformer_options small{.tokens = 6,
                                            .entries = 11,
                                            .width = 8,
                                            .heads = 2,
                                            .layers = 2,
                                            .feed_forward = 12,
                                            .classes = 4};

TEST(TorchTransformer, LogitsAndCoordinatesAreThoseOfTheModule) { expect_peer(small); }

TEST(TorchTransformer, CausalWithReluToo) {
  zo::nn::transformer_options o = small;
  o.activation = zo::nn::activation::relu;
  o.causal = true;
  expect_peer(o);
}

// What is saved has the module's names, each once.
TEST(TorchTransformer, NamesAreThoseOfTheModule) {
  peer theirs(small);
  const zo::nn::network net = zo::nn::transformer(small);
  const std::vector<double> parameters(static_cast<std::size_t>(net.parameter_count()));
  std::vector<std::string> ours, expected;
  for (const auto& t : zo::nn::tensors_of<double>(net, parameters, {})) ours.push_back(t.name);
  for (const auto& p : theirs.named_parameters()) expected.push_back(p.key());
  std::ranges::sort(ours);
  std::ranges::sort(expected);
  EXPECT_EQ(ours, expected);
}

}  // namespace
