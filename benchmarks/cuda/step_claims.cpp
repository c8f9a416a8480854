// One DeepZero step of ResNet-20 at 90 % sparsity on the GPU: all its probes, against the step in
// PyTorch with reuse at the granularity of blocks, and how far it is from float64.
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "claims.hpp"
#include "gpu.hpp"
#include "nn/workload.hpp"
#include "peers/curand_cublas.hpp"
#include "zo/cuda/network.hpp"

namespace bench {
namespace {

using zo::nn::products;

constexpr double mu = 5e-3;

zo::index_t samples(zo::index_t count, const effort& how) { return how.smoke ? 2 : count; }

// A step takes long, so that few of them are enough.
effort effort_of(effort how) {
  how.least_pairs = 3;
  how.most_pairs = 7;
  return how;
}

// Coordinates of a step; with a bound, that many of each tensor. A smoke test asks few tensors.
std::vector<zo::index_t> coordinates_of(const zo::nn::network& net, zo::index_t most,
                                        const effort& how) {
  std::vector<zo::index_t> all;
  for (const stratum& part : sparse_step(net, most)) {
    const bool late =
        part.tensor->name.starts_with("layer3.2.") || part.tensor->name.starts_with("linear.");
    if (!how.smoke || late) all.insert(all.end(), part.sampled.begin(), part.sampled.end());
  }
  return all;
}

class gpu_step {
 public:
  gpu_step(const gpu& g, zo::index_t count, products how,
           zo::index_t max_bytes = zo::cuda::network_options().max_bytes)
      : what_(count),
        x_(g.on(), what_.parameters),
        images_(g.on(), what_.images),
        statistics_(g.on(), what_.statistics),
        classes_(g.on(), what_.classes),
        gradient_(g.on(), x_.size()),
        memory_(g.on()),
        f_(g.on(), what_.net,
           [this](zo::sample_id) {
             return zo::cuda::network_batch<float>{images_, what_.count,
                                                   zo::cuda::span<const zo::index_t>(classes_)};
           },
           statistics_, {.products = how, .max_bytes = max_bytes}) {}
  gpu_step(const gpu_step&) = delete;

  const workload& what() const { return what_; }

  // Enqueues a step; the gradient stays on the device.
  void operator()(const gpu& g, const zo::cge<zo::forward>& estimator) {
    zo::estimate(g.on(), f_, x_, gradient_, estimator, {.seed = 1}, memory_);
  }

  std::vector<float> gradient() const { return gradient_.to_host(); }

  // What the values of a pass take, before any probe.
  zo::index_t pass_bytes(const gpu& g) {
    zo::cuda::array<double> loss(g.on(), 1);
    f_.prepare(x_, loss, g.stream(), 0);
    return f_.bytes();
  }

 private:
  workload what_;
  zo::cuda::array<float> x_, images_, statistics_;
  zo::cuda::array<zo::index_t> classes_;
  zo::cuda::array<float> gradient_;
  zo::cuda::workspace memory_;
  zo::cuda::network_objective<float> f_;
};

zo::cge<zo::forward> estimator(std::vector<zo::index_t> coordinates) {
  zo::cge_options options;
  options.smoothing = mu;
  options.coordinates = zo::coordinate_list{std::move(coordinates)};
  return zo::cge(options);
}

// Distance of an estimate to that of the CPU in double, relative to its norm.
double error_of(zo::index_t count, zo::index_t most, products products, const effort& how) {
  gpu& g = the_gpu();
  gpu_step ours(g, samples(count, how), products);
  const workload& what = ours.what();
  const auto some = estimator(coordinates_of(what.net, most, how));
  ours(g, some);
  const std::vector<float> found = ours.gradient();
  const std::vector<double> x(what.parameters.begin(), what.parameters.end());
  const std::vector<double> running(what.statistics.begin(), what.statistics.end());
  std::vector<double> exact(x.size());
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  auto host = what.objective<double>(running, {});
  zo::estimate(zo::par.with_threads(threads), host, x, exact, some);
  double off = 0, all = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    off += (static_cast<double>(found[i]) - exact[i]) * (static_cast<double>(found[i]) - exact[i]);
    all += exact[i] * exact[i];
  }
  const double error = std::sqrt(off / all);
  if (error > 0.05) {
    throw std::runtime_error("wrong result: the step is off by " + std::to_string(error) +
                             " of its norm");
  }
  return error;
}

outcome error(zo::index_t count, products products, const effort& how) {
  outcome o;
  o.ours = o.ratio = o.low = o.high =
      error_of(count, how.smoke || count > 32 ? 1 : 4, products, how);
  o.peer = std::numeric_limits<double>::quiet_NaN();
  o.pairs = 1;
  return o;
}

// A step that is timed: made once before, so that its memory is there.
struct timed_step {
  timed_step(zo::index_t count, products products, const effort& how,
             zo::index_t max_bytes = zo::cuda::network_options().max_bytes)
      : step(the_gpu(), samples(count, how), products, max_bytes),
        whole(estimator(coordinates_of(
            step.what().net, how.smoke ? 1 : std::numeric_limits<zo::index_t>::max(), how))) {
    step(the_gpu(), whole);
  }
  void operator()() { step(the_gpu(), whole); }

  gpu_step step;
  zo::cge<zo::forward> whole;
};

outcome time(const torch_times& torch, const std::string& peer, zo::index_t count,
             products products, const effort& how) {
  timed_step step(count, products, how);
  return torch.against(
      peer, effort_of(how), [&] { step(); }, 1e9);  // the unit is seconds
}

// Differences of few probes stay in the cache between launches; those of many make fewer launches.
outcome small_groups(zo::index_t count, const effort& how) {
  gpu& g = the_gpu();
  constexpr zo::index_t probes = zo::index_t{128} << 20;
  const zo::index_t pass = gpu_step(g, samples(count, how), products::bfloat16).pass_bytes(g);
  timed_step few(count, products::bfloat16, how, pass + probes);
  timed_step many(count, products::bfloat16, how);
  if (few.step.gradient() != many.step.gradient()) {
    throw std::runtime_error("wrong result: groups of another size give other bits");
  }
  return times_as_fast(compare(
                           g.clock(how), effort_of(how), [&] { few(); }, [&] { many(); }),
                       1e9);
}

// Multiplications and additions that the step cannot avoid, by its time, beside a matrix product.
outcome speed(zo::index_t count, products products, const effort& how) {
  gpu& g = the_gpu();
  const int size = how.smoke ? 64 : 8192;
  const zo::index_t numbers = zo::index_t{size} * size;
  const auto a = normals<zo::bfloat16>(g, numbers), b = normals<zo::bfloat16>(g, numbers, 0.5f);
  zo::cuda::array<zo::bfloat16> c(g.on(), numbers);
  const auto product = peers::product_of_bfloat16(g.stream(), size, a.data(), b.data(), c.data());
  if (!product) return skip("peer not installed: cuBLAS");
  timed_step step(count, products, how);
  const zo::index_t batch = samples(count, how);
  const double ours = 2e-12 * static_cast<double>(batch) *
                      step_multiplications(step.step.what().net, reuse::channel, borders::skipped);
  const double theirs = 2e-12 * std::pow(size, 3);
  const comparison found = compare(
      g.clock(how), effort_of(how), [&] { step(); }, [&] { product(); });
  outcome o;
  o.ours = ours / found.ours;
  o.peer = theirs / found.theirs;
  o.ratio = ours / theirs * found.ratio;
  o.low = ours / theirs * found.low;
  o.high = ours / theirs * found.high;
  o.pairs = found.pairs;
  return o;
}

}  // namespace

std::vector<claim> step_claims(const torch_times& torch) {
  std::vector<claim> claims;
  const auto add = [&](const std::string& name, const std::string& peer, const std::string& unit,
                       bar kind, double limit, std::function<outcome(const effort&)> measure) {
    claims.push_back({name, peer, unit, kind, limit, std::move(measure)});
  };
  for (const zo::index_t count : {32, 256}) {
    const std::string batch = std::to_string(count), peer = "deepzero_" + batch;
    const std::string name = "DeepZero step, ResNet-20, 90 % sparse, batch " + batch;
    const std::string rounded = name + ", bfloat16";
    constexpr products half = products::bfloat16, exact = products::exact;
    add(rounded + ", error", "float64", "of its norm", bar::at_most, 1e-2,
        [=](const effort& how) { return error(count, half, how); });
    add(rounded, "PyTorch, block reuse", "s/step", bar::at_least, 20,
        [=](const effort& how) { return time(torch, peer, count, half, how); });
    add(rounded, "PyTorch, block reuse in CUDA graphs", "s/step", bar::none, 0,
        [=](const effort& how) { return time(torch, peer + "_graphs", count, half, how); });
    add(rounded + ", arithmetic", "bfloat16 matrix product (cuBLAS)", "TFLOP/s", bar::none, 0,
        [=](const effort& how) { return speed(count, half, how); });
    if (count > 32) continue;
    add(rounded + ", probes within 128 MiB", "within 4 GiB", "s/step", bar::none, 0,
        [=](const effort& how) { return small_groups(count, how); });
    add(name + ", error", "float64", "of its norm", bar::at_most, 1e-3,
        [=](const effort& how) { return error(count, exact, how); });
    add(name, "PyTorch, block reuse", "s/step", bar::none, 0,
        [=](const effort& how) { return time(torch, peer, count, exact, how); });
  }
  return claims;
}

}  // namespace bench
