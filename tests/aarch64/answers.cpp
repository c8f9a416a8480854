// Prints fingerprints of estimates, of a run and of a network, one a line: the lines of two
// processors are compared. What the C library computes (exp, log) is not among them.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "zo/nn/difference_pass.hpp"
#include "zo/zo.hpp"

namespace {

using zo::index_t;

template <class T>
void print(const std::string& name, const std::vector<T>& values) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto* at = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) {
    hash = (hash ^ at[i]) * 0x100000001b3u;
  }
  std::printf("%s %s %016llx\n", name.c_str(), sizeof(T) == 4 ? "float" : "double",
              static_cast<unsigned long long>(hash));
}

// Of explicit fused operations: no flag of this file can change it.
template <class T>
struct fused_loss {
  double operator()(std::span<const T> x) const {
    double sum = 0.125;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto v = static_cast<double>(x[i]);
      sum = std::fma(v, std::fma(0.25, v, 0.5 * static_cast<double>(i % 3) - 0.5), sum);
    }
    return sum;
  }
};

template <class T>
std::vector<T> spread(index_t d, index_t by) {
  std::vector<T> x;
  for (index_t i = 0; i < d; ++i) {
    x.push_back(static_cast<T>(static_cast<double>(i * by % 1009) / 512 - 1));
  }
  return x;
}

template <class T>
void estimates() {
  for (const index_t d : {1, 100, 2501}) {
    const std::vector<T> x = spread<T>(d, 7);
    std::vector<T> g(x.size());
    const auto ask = [&](const std::string& name, const auto& how) {
      zo::estimate(zo::par.with_threads(2), fused_loss<T>{}, x, g, how, {.seed = 7, .step = 3});
      print(name + " " + std::to_string(d), g);
    };
    ask("gaussian", zo::rge({.directions = 9}));
    ask("rademacher", zo::rge({.directions = 9}, zo::rademacher{}));
    ask("sphere", zo::rge({.directions = 9}, zo::sphere{}, zo::central{}));
  }
}

template <class T>
void run() {
  std::vector<T> x = spread<T>(300, 7);
  zo::minimize(zo::seq, fused_loss<T>{}, x, zo::rge({.directions = 8}), zo::adam({.rate = 0.05}),
               {.max_queries = 400, .seed = 5});
  print("run", x);
}

// Convolutions on tiles and without, pools, sums, of a whole group of samples and a part of one.
zo::nn::network small_network() {
  zo::nn::network net({3, 8, 8});
  index_t x = net.relu(net.batch_norm(net.convolution(net.input(), "a", {.channels = 8}), "an"));
  const index_t y = net.batch_norm(net.convolution(x, "b", {.channels = 8}), "bn");
  x = net.relu(net.add(y, x));
  x = net.relu(net.convolution(x, "c", {.channels = 12, .stride = 2, .bias = true}));
  net.linear(net.global_average_pool(net.max_pool(x)), "d", 10);
  return net;
}

template <class T>
void network() {
  namespace nn = zo::nn;
  const nn::network net = small_network();
  std::vector<T> parameters(static_cast<std::size_t>(net.parameter_count()));
  std::vector<T> statistics(static_cast<std::size_t>(net.statistic_count()));
  nn::initialize<T>(net, nn::initialization::kaiming_normal, 3, parameters);
  nn::initialize_statistics<T>(net, statistics);
  const index_t count = 19;
  const std::vector<T> inputs = spread<T>(count * net.nodes().front().out.size(), 7919);
  nn::forward_pass<T> pass(net);
  pass.run(zo::par.with_threads(2), parameters, statistics, inputs, count, nn::norm_mode::train);
  print("outputs", std::vector<T>(pass.outputs().begin(), pass.outputs().end()));
  pass.prepare_differences();
  nn::difference_pass<T> follow(pass);
  for (const nn::view& v : net.parameters()) {
    const auto changed = follow(v.offset + v.size / 2, T(0.01));
    print("change of " + v.name, std::vector<T>(changed.begin(), changed.end()));
  }
}

}  // namespace

int main() {
  std::fprintf(stderr, "%s\n", zo::instruction_set());
  estimates<float>();
  estimates<double>();
  run<float>();
  run<double>();
  network<float>();
  network<double>();
}
