// How near estimates of a network's gradient come to it: cosines layer by layer, and what they
// cost.
//
//   zo_network_estimates --network cnn --state trained --directions 32
//
// Asks about the activations of every layer. Rows are layers; the last ones are the whole network,
// beside coordinates block by block, and estimates in the space of weights: RGE of as many forward
// passes, and CGE of a tenth of the coordinates. The true gradient is back-propagation by LibTorch,
// checked against dense differences of single weights in the same run.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "activation/activation.hpp"
#include "by_block/by_block.hpp"
#include "common/cifar.hpp"
#include "common/command_line.hpp"
#include "common/fashion_mnist.hpp"
#include "common/file.hpp"
#include "common/output.hpp"
#include "common/safetensors.hpp"
#include "first_order.hpp"
#include "zo/nn/weights.hpp"
#include "zo/zo.hpp"

namespace {

using zo::index_t;
namespace nn = zo::nn;

struct settings {
  std::string network = "cnn", state = "init", share = "sensitivity", coupling = "known";
  std::filesystem::path data, json;
  index_t batch = 256, directions = 32;
  int threads = 1;
  std::uint64_t seed = 1;
};

settings read(int count, char** values) {
  settings s;
  const auto command =
      app::make_command("zo_network_estimates",
                        "How near estimates of a network's gradient come to it, and what "
                        "they cost.");
  const auto choice = [&](const char* name, std::string& to, std::vector<std::string> known,
                          const char* help) {
    command->add_option(name, to, help)
        ->check(CLI::IsMember(std::move(known)))
        ->capture_default_str();
  };
  choice("--network", s.network, {"cnn", "resnet20"}, "On Fashion-MNIST, or on CIFAR-10");
  choice("--state", s.state, {"init", "trained"}, "Of the weights");
  choice("--share", s.share, {"even", "sensitivity"}, "How directions are shared out");
  choice("--coupling", s.coupling, {"known", "estimated", "ignored"},
         "Where the gradients of batch norms come from");
  app::add_number(*command, "--batch", s.batch, app::at_least_one, "Images");
  app::add_number(*command, "--directions", s.directions, app::at_least_one, "A layer and image");
  app::add_number(*command, "--threads", s.threads, app::some_threads, "Of the estimates");
  app::add_number(*command, "--seed", s.seed, app::any_seed, "Of weights and directions");
  app::add_path(*command, "--data", s.data, "The folder of CIFAR-10 and trained weights");
  app::add_path(*command, "--json", s.json, "Write the results there, too");
  if (!app::read_command_line(*command, count, values)) throw app::help_wanted{command->help()};
  return s;
}

// A small network of 9,098 parameters without batch norm.
nn::network cnn() {
  nn::network net({1, 28, 28});
  index_t x = net.convolution(0, "conv1", {.channels = 8, .bias = true});
  x = net.max_pool(net.relu(x));
  x = net.convolution(x, "conv2", {.channels = 16, .bias = true});
  x = net.max_pool(net.relu(x));
  net.linear(x, "linear", 10);
  return net;
}

struct problem {
  nn::network net;
  std::vector<float> parameters, statistics;
  std::function<nn::minibatch<float>(index_t)> batch;
};

// The yardstick.
std::vector<float> back_propagated(const problem& p, const nn::minibatch<float>& batch,
                                   const settings& s) {
  deepzero::settings how;
  how.threads = s.threads;
  std::vector<float> gradient(p.parameters.size());
  (*deepzero::make_first_order(p.net, how))({p.parameters, p.statistics, batch}, gradient);
  return gradient;
}

problem make(const settings& s) {
  const bool small = s.network == "cnn";
  auto images =
      std::make_shared<app::image_set>(small ? app::load_fashion_mnist(app::split::train, s.data)
                                             : app::load_cifar10(app::split::train, s.data));
  problem p{small ? cnn() : nn::resnet(20), {}, {}, {}};
  p.parameters.resize(static_cast<std::size_t>(p.net.parameter_count()));
  p.statistics.resize(static_cast<std::size_t>(p.net.statistic_count()));
  nn::initialize<float>(
      p.net, small ? nn::initialization::kaiming_uniform : nn::initialization::kaiming_normal,
      s.seed, p.parameters);
  nn::initialize_statistics<float>(p.net, p.statistics);
  p.batch = [images, s, small](index_t number) {
    constexpr float means[3] = {0.485F, 0.456F, 0.406F}, deviations[3] = {0.229F, 0.224F, 0.225F};
    std::vector<float> x;
    std::vector<index_t> targets;
    for (index_t k = 0; k < s.batch; ++k) {
      const index_t at = (number * s.batch + k) % images->count;
      const auto image = images->image(at);
      targets.push_back(images->labels[static_cast<std::size_t>(at)]);
      for (std::size_t i = 0; i < image.size(); ++i) {
        const float v = static_cast<float>(image[i]) / 255.0F;
        const std::size_t c = i / 1024 % 3;
        x.push_back(small ? (v - 0.2860F) / 0.3530F : (v - means[c]) / deviations[c]);
      }
    }
    return nn::minibatch<float>{std::move(x), s.batch, nn::cross_entropy(targets, 10)};
  };
  if (s.state == "trained" && small) {
    // By the yardstick, so that the state needs no file: 600 steps of gradient descent.
    for (index_t step = 1; step <= 600; ++step) {
      const std::vector<float> g = back_propagated(p, p.batch(step), s);
      for (std::size_t i = 0; i < g.size(); ++i) p.parameters[i] -= 0.1F * g[i];
    }
  } else if (s.state == "trained") {
    const char* const folder = std::getenv("ZO_DATA_DIR");
    const std::filesystem::path root = !s.data.empty() ? s.data : folder == nullptr ? "" : folder;
    const auto file = app::read_safetensors(root / "classifiers" / "cifar10_resnet20.safetensors");
    std::vector<std::vector<float>> values;
    std::vector<nn::named_values<float>> named;
    for (const app::tensor& tensor : file.tensors) {
      if (tensor.dtype != app::dtype::f32) continue;
      values.push_back(tensor.values<float>());
      named.push_back({tensor.name, {tensor.shape.begin(), tensor.shape.end()}, values.back()});
    }
    nn::load<float>(p.net, named, "module.", p.parameters, p.statistics);
  }
  return p;
}

// Sums of products over some part of the parameters.
struct products {
  double with = 0, own = 0, truth = 0;

  void add(double estimate, double gradient) {
    with += estimate * gradient;
    own += estimate * estimate;
    truth += gradient * gradient;
  }
  void add(const products& other) {
    with += other.with;
    own += other.own;
    truth += other.truth;
  }
  double cosine() const { return own > 0 && truth > 0 ? with / std::sqrt(own * truth) : 0; }
};

// RGE with exact slopes: what q whole forward passes could tell at best.
double cosine_of_rge(const std::vector<double>& gradient, index_t directions, std::uint64_t seed) {
  std::vector<float> u(gradient.size());
  std::vector<double> sum(gradient.size());
  for (index_t k = 0; k < directions; ++k) {
    zo::fill_direction(zo::rademacher{}, {seed, 77, static_cast<std::uint32_t>(k)},
                       std::span<float>(u));
    double slope = 0;
    for (std::size_t i = 0; i < u.size(); ++i) slope += static_cast<double>(u[i]) * gradient[i];
    for (std::size_t i = 0; i < u.size(); ++i) sum[i] += slope * static_cast<double>(u[i]);
  }
  products p;
  for (std::size_t i = 0; i < u.size(); ++i) p.add(sum[i], gradient[i]);
  return p.cosine();
}

double cosine_of_tenth(const std::vector<double>& gradient, std::uint64_t seed) {
  const auto d = static_cast<index_t>(gradient.size());
  products p;
  const auto chosen = zo::random_subset(d, d / 10, {seed, 0, 0, zo::purpose::coordinates});
  auto next = chosen.begin();
  for (index_t i = 0; i < d; ++i) {
    const double g = gradient[static_cast<std::size_t>(i)];
    const bool asked = next != chosen.end() && *next == i;
    if (asked) ++next;
    p.add(asked ? g : 0, g);
  }
  return p.cosine();
}

// The yardstick against single weights moved by 1e-6: relative error over three of each tensor.
double error_of_yardstick(const problem& p, nn::minibatch<float>& batch,
                          const std::vector<double>& gradient, int threads) {
  nn::forward_pass<float> pass(p.net);
  pass.run(zo::par.with_threads(threads), p.parameters, p.statistics, batch.inputs, batch.count,
           nn::norm_mode::train);
  pass.prepare_differences();
  nn::difference_pass<float> follow(pass);
  batch.loss.prepare<float>(pass.outputs());
  double off = 0, size = 0;
  for (const nn::view& v : p.net.parameters()) {
    for (const index_t i : {v.offset, v.offset + v.size / 2, v.offset + v.size - 1}) {
      const float h = 1e-6F;
      const double slope = batch.loss.difference(follow(i, h).data()) / static_cast<double>(h);
      const double g = gradient[static_cast<std::size_t>(i)];
      off += (slope - g) * (slope - g);
      size += g * g;
    }
  }
  return std::sqrt(off / size);
}

// Of the weights of one layer.
products compare(const nn::network& net, index_t node, const std::vector<float>& found,
                 const std::vector<double>& gradient) {
  const nn::node& n = net.nodes()[static_cast<std::size_t>(node)];
  const nn::view& v = net.parameters()[static_cast<std::size_t>(n.weight)];
  products own;
  for (index_t i = v.offset; i < v.offset + v.size; ++i) {
    const auto k = static_cast<std::size_t>(i);
    own.add(static_cast<double>(found[k]), gradient[k]);
  }
  return own;
}

struct by_block_row {
  double passes, cosine;
};

by_block_row ask_by_block(const problem& p, const nn::minibatch<float>& batch,
                          const std::vector<double>& gradient, const settings& s) {
  const auto on = zo::par.with_threads(s.threads);
  const deepzero::by_block_calls<float> calls{.weights = [&](auto& f, auto x, auto slopes) {
    return zo::estimate(on, f, x, slopes, zo::cge({.smoothing = 1e-4}));
  }};
  deepzero::block_estimator<float> blocks(p.net);
  std::vector<float> found(gradient.size());
  const deepzero::by_block_result did =
      blocks(on, batch, p.parameters, p.statistics, {}, found, calls);
  products whole;
  for (std::size_t i = 0; i < found.size(); ++i) {
    whole.add(static_cast<double>(found[i]), gradient[i]);
  }
  return {did.passes + static_cast<double>(did.multiplications) /
                           static_cast<double>(p.net.multiplications() * batch.count),
          whole.cosine()};
}

void write_json(const settings& s, nlohmann::ordered_json found) {
  nlohmann::ordered_json all{{"network", s.network}, {"state", s.state},
                             {"batch", s.batch},     {"directions", s.directions},
                             {"share", s.share},     {"coupling", s.coupling},
                             {"seed", s.seed}};
  all.update(found);
  app::write_atomically(s.json, all.dump(2) + "\n");
}

void run(const settings& s) {
  problem p = make(s);
  const int threads = s.threads;
  nn::minibatch<float> batch = p.batch(0);
  const std::vector<float> exact = back_propagated(p, batch, s);
  const std::vector<double> gradient(exact.begin(), exact.end());
  const double yardstick = error_of_yardstick(p, batch, gradient, threads);
  if (!(yardstick < 1e-2)) {
    throw std::runtime_error("the yardstick is off by " + app::shortest(yardstick) +
                             " of its norm, so nothing is measured");
  }
  const deepzero::activation_estimator<float> estimator(zo::par.with_threads(threads), p.net, batch,
                                                        p.parameters, p.statistics,
                                                        nn::norm_mode::train);
  std::vector<float> found(gradient.size());
  for (const nn::view& v : p.net.parameters()) {
    const nn::node& n = p.net.nodes()[static_cast<std::size_t>(v.node)];
    if (n.what != nn::operation::batch_norm || s.coupling != "known") continue;
    for (index_t i = v.offset; i < v.offset + v.size; ++i) {
      found[static_cast<std::size_t>(i)] = exact[static_cast<std::size_t>(i)];
    }
  }
  const deepzero::activation_options options{
      .directions = s.directions,
      .shares = s.share == "even" ? deepzero::share::even : deepzero::share::by_sensitivity};
  std::printf("%s, %s, batch %ld, %ld directions by %s, norms %s: loss %.4f\n", s.network.c_str(),
              s.state.c_str(), static_cast<long>(s.batch), static_cast<long>(s.directions),
              s.share.c_str(), s.coupling.c_str(), estimator.value());
  std::printf("yardstick against single weights: relative error %.1e\n", yardstick);
  std::printf("%-24s %8s %8s %9s %9s %8s\n", "layer", "weights", "active", "questions", "passes",
              "cosine");
  auto rows = nlohmann::ordered_json::array();
  products whole;
  double passes = 0;
  const double per_pass = static_cast<double>(p.net.multiplications() * batch.count);
  for (auto layer = static_cast<index_t>(p.net.nodes().size()) - 1; layer > 0; --layer) {
    const nn::node& n = p.net.nodes()[static_cast<std::size_t>(layer)];
    const bool norm = n.what == nn::operation::batch_norm;
    if (n.weight < 0 || (norm && s.coupling != "estimated")) continue;
    const auto did = estimator.estimate(layer, options, {.seed = s.seed}, found);
    const nn::view& v = p.net.parameters()[static_cast<std::size_t>(n.weight)];
    const products own = compare(p.net, layer, found, gradient);
    whole.add(own);
    const double cost = static_cast<double>(did.multiplications) / per_pass;
    passes += cost;
    const auto of_sample = [&](index_t all) {
      return static_cast<double>(all) / static_cast<double>(batch.count);
    };
    std::printf("%-24s %8ld %8.0f %9.1f %9.2f %8.3f\n", v.name.c_str(), static_cast<long>(v.size),
                of_sample(did.active), of_sample(did.questions), cost, own.cosine());
    std::fflush(stdout);
    rows.push_back({{"layer", v.name},
                    {"weights", v.size},
                    {"active", of_sample(did.active)},
                    {"questions", of_sample(did.questions)},
                    {"passes", cost},
                    {"cosine", own.cosine()}});
  }
  const by_block_row by_block = ask_by_block(p, batch, gradient, s);
  const auto rge_passes = std::max<index_t>(1, std::llround(passes));
  const double rge = cosine_of_rge(gradient, rge_passes, s.seed);
  const double tenth = cosine_of_tenth(gradient, s.seed);
  std::printf("all layers%55.2f %8.3f\n", passes, whole.cosine());
  std::printf("coordinates block by block%39.2f %8.3f\n", by_block.passes, by_block.cosine);
  std::printf("RGE over the weights%45ld %8.3f\n", static_cast<long>(rge_passes), rge);
  std::printf("CGE of a tenth of the weights, %ld queries %31.3f\n",
              static_cast<long>(p.net.parameter_count() / 10), tenth);
  if (s.json.empty()) return;
  write_json(s, {{"passes", passes},
                 {"cosine", whole.cosine()},
                 {"by_block_passes", by_block.passes},
                 {"by_block", by_block.cosine},
                 {"rge", rge},
                 {"tenth", tenth},
                 {"layers", rows}});
}

}  // namespace

int main(int count, char** values) {
  try {
    try {
      run(read(count, values));
    } catch (const app::help_wanted& help) {
      std::fputs(help.text.c_str(), stdout);
    }
    app::require_printed();
    return 0;
  } catch (const app::usage_error& error) {
    std::fprintf(stderr, "zo_network_estimates: %s (see --help)\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_network_estimates: %s\n", error.what());
    return 1;
  }
}
