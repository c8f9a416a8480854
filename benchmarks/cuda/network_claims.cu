// RGE of a network of two layers: candidate weights by the library, evaluation by cuBLAS.
#include <cmath>
#include <string>

#include "claims.hpp"
#include "gpu.hpp"
#include "peers/curand_cublas.hpp"

namespace bench {
namespace {

struct shape {
  int inputs, hidden, outputs, batch;

  ZO_HD zo::index_t weights() const {
    return zo::index_t{hidden} * (inputs + 1) + zo::index_t{outputs} * (hidden + 1);
  }
  // Where the parts of a weight vector begin; matrices by rows of a neuron's weights.
  ZO_HD zo::index_t hidden_bias() const { return zo::index_t{hidden} * inputs; }
  ZO_HD zo::index_t output() const { return hidden_bias() + hidden; }
  ZO_HD zo::index_t output_bias() const { return output() + zo::index_t{outputs} * hidden; }
};

// blockIdx.y is the candidate.
__global__ void add_bias_and_clip(shape s, const float* weights, float* values) {
  const int size = s.batch * s.hidden;
  const float* const bias = weights + blockIdx.y * s.weights() + s.hidden_bias();
  float* const own = values + static_cast<zo::index_t>(blockIdx.y) * size;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < size;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    const float value = own[i] + bias[i % s.hidden];
    own[i] = value > 0 ? value : 0;
  }
}

constexpr int loss_threads = 256;

// A block a candidate: the mean cross entropy of the batch. Example n has the label n % outputs.
__global__ void __launch_bounds__(loss_threads)
    cross_entropy(shape s, const float* weights, const float* values, double* losses) {
  __shared__ double sums[loss_threads];
  const float* const bias = weights + blockIdx.x * s.weights() + s.output_bias();
  double sum = 0;
  for (int n = static_cast<int>(threadIdx.x); n < s.batch; n += loss_threads) {
    const float* const z =
        values + (static_cast<zo::index_t>(blockIdx.x) * s.batch + n) * s.outputs;
    float most = z[0] + bias[0];
    for (int o = 1; o < s.outputs; ++o) most = fmaxf(most, z[o] + bias[o]);
    float total = 0;
    for (int o = 0; o < s.outputs; ++o) total += expf(z[o] + bias[o] - most);
    const int label = n % s.outputs;
    sum += static_cast<double>(logf(total) + most - (z[label] + bias[label]));
  }
  sums[threadIdx.x] = sum;
  for (int half = loss_threads / 2; half >= 1; half /= 2) {
    __syncthreads();
    const int at = static_cast<int>(threadIdx.x);
    if (at < half) sums[at] += sums[at + half];
  }
  if (threadIdx.x == 0) losses[blockIdx.x] = sums[0] / s.batch;
}

// A batch objective: all candidates of a call in one batched product a layer.
class network {
 public:
  network(const gpu& g, const shape& s, zo::index_t most_candidates)
      : s_(s),
        products_(peers::products(g.stream())),
        examples_(normals<float>(g, zo::index_t{s.batch} * s.inputs)),
        hidden_(g.on(), most_candidates * s.batch * s.hidden),
        outputs_(g.on(), most_candidates * s.batch * s.outputs) {}

  bool there() const { return static_cast<bool>(products_); }

  void operator()(zo::cuda::points<float> at, zo::cuda::span<double> losses, cudaStream_t stream) {
    const float* const w = at.data.data();
    const auto count = static_cast<int>(at.count);
    const zo::index_t d = at.dimension, hidden = zo::index_t{s_.batch} * s_.hidden;
    products_(count, s_.batch, s_.hidden, s_.inputs, {w, d}, {examples_.data(), 0}, hidden_.data(),
              hidden);
    cudaLaunchConfig_t config{};
    config.stream = stream;
    config.blockDim = dim3(256, 1, 1);
    config.gridDim = dim3(static_cast<unsigned>(std::min<zo::index_t>(1024, (hidden + 255) / 256)),
                          static_cast<unsigned>(count), 1);
    check(cudaLaunchKernelEx(&config, add_bias_and_clip, s_, w, hidden_.data()),
          "launching the hidden layer");
    products_(count, s_.batch, s_.outputs, s_.hidden, {w + s_.output(), d},
              {hidden_.data(), hidden}, outputs_.data(), zo::index_t{s_.batch} * s_.outputs);
    config.blockDim = dim3(loss_threads, 1, 1);
    config.gridDim = dim3(static_cast<unsigned>(count), 1, 1);
    check(cudaLaunchKernelEx(&config, cross_entropy, s_, w,
                             static_cast<const float*>(outputs_.data()), losses.data()),
          "launching the losses");
  }

  std::vector<float> examples() const { return examples_.to_host(); }

 private:
  shape s_;
  peers::batched_products products_;
  zo::cuda::array<float> examples_, hidden_, outputs_;
};

// The same loss on the CPU, in double.
double loss_of(const shape& s, const std::vector<float>& x, std::span<const float> w) {
  const auto weight = [&](zo::index_t i) {
    return static_cast<double>(w[static_cast<std::size_t>(i)]);
  };
  double sum = 0;
  for (int n = 0; n < s.batch; ++n) {
    std::vector<double> hidden, z;
    for (int h = 0; h < s.hidden; ++h) {
      double value = weight(s.hidden_bias() + h);
      for (int i = 0; i < s.inputs; ++i) {
        value += weight(h * s.inputs + i) *
                 static_cast<double>(x[static_cast<std::size_t>(n * s.inputs + i)]);
      }
      hidden.push_back(std::max(value, 0.0));
    }
    double total = 0;
    for (int o = 0; o < s.outputs; ++o) {
      double value = weight(s.output_bias() + o);
      for (int h = 0; h < s.hidden; ++h) {
        value += weight(s.output() + o * s.hidden + h) * hidden[static_cast<std::size_t>(h)];
      }
      z.push_back(value);
      total += std::exp(value);
    }
    sum += std::log(total) - z[static_cast<std::size_t>(n % s.outputs)];
  }
  return sum / s.batch;
}

auto estimator(zo::index_t directions) {
  return zo::rge({.directions = directions, .smoothing = 1e-2}, zo::gaussian{}, zo::central{});
}

// An estimate of a small network, against the CPU.
void check_estimate(const gpu& g) {
  const shape s{6, 10, 4, 300};
  constexpr zo::index_t directions = 5;
  network f(g, s, 2 * directions);
  const std::vector<float> examples = f.examples();
  const auto x = normals<float>(g, s.weights(), 0.3f);
  zo::cuda::array<float> gradient(g.on(), s.weights());
  const double value = zo::estimate(g.on(), f, x, gradient, estimator(directions)).get().value;
  std::vector<float> wanted(static_cast<std::size_t>(s.weights()));
  const auto on_host = [&](std::span<const float> w) { return loss_of(s, examples, w); };
  const auto host = zo::estimate(zo::seq, on_host, x.to_host(), wanted, estimator(directions));
  expect_close(value, host.value, 1e-5, "the loss of the network");
  const std::vector<float> found = gradient.to_host();
  double off = 0, size = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i] - wanted[i]), 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  expect_close(1 + std::sqrt(off / size), 1, 1e-3, "1 + the error of the network's gradient");
}

outcome against_bare(const effort& how) {
  gpu& g = the_gpu();
  if (!network(g, {1, 1, 1, 1}, 1).there()) return skip("the objective needs cuBLAS");
  check_estimate(g);
  const shape s = how.smoke ? shape{6, 10, 4, 300} : shape{512, 1024, 16, 2048};
  const zo::index_t directions = how.smoke ? 4 : 32, candidates = 2 * directions;
  network f(g, s, candidates);
  const auto x = normals<float>(g, s.weights(), 0.05f);
  const auto ready = normals<float>(g, candidates * s.weights(), 0.05f);
  zo::cuda::array<float> gradient(g.on(), s.weights());
  zo::cuda::array<double> losses(g.on(), candidates);
  zo::cuda::workspace memory(g.on());
  const auto how_to = estimator(directions);
  zo::estimate_options options{.seed = 1, .chunk_bytes = zo::index_t{1} << 30};
  const auto estimate = [&] {
    ++options.step;
    zo::estimate(g.on(), f, x, gradient, how_to, options, memory);
  };
  const auto bare = [&] { f({ready, candidates, s.weights()}, losses, g.stream()); };
  outcome o = times_as_fast(compare(g.clock(how), how, estimate, bare), 1e3);
  o.note = "EGGROLL publishes 0.91 for its own method";
  return o;
}

}  // namespace

std::vector<claim> network_claims() {
  return {{"RGE of a network 512-1024-16, batch 2048, Gaussian, central, q = 32",
           "64 bare evaluations", "us/estimate", bar::at_least, 0.95, against_bare}};
}

}  // namespace bench
