// Whole estimates of a lazy objective: against PyTorch, and against the bare arithmetic.
#include <cmath>
#include <string>

#include "claims.hpp"
#include "gpu.hpp"
#include "squares.hpp"

namespace bench {
namespace {

constexpr double smoothing = 1e-3;

zo::rge<zo::gaussian, zo::forward> estimator(zo::index_t directions) {
  return zo::rge({.directions = directions, .smoothing = smoothing}, zo::gaussian{}, zo::forward{});
}

// The arithmetic of an estimate without the library: the four coordinates of a counter block are
// made and used in registers, x and the weights are one number each, and nothing is written. The
// directions are made twice, for the queries and for the sum, as an estimate of O(d) memory must.
// `out` is null when timed; else each thread writes its sum, which a test compares.
template <bool Queries>
__global__ void __launch_bounds__(256)
    bare_arithmetic(zo::stream from, zo::index_t directions, float x, float h, zo::index_t blocks,
                    double* out) {
  const zo::index_t block = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block >= blocks) return;
  double loss[4] = {};
  float sum[4] = {};
  for (zo::index_t k = blockIdx.y; k < directions; k += gridDim.y) {
    zo::stream direction = from;
    direction.number += static_cast<std::uint32_t>(k);
    const auto words = direction.words(static_cast<std::uint32_t>(block));
    float u[4];
    zo::detail::normal_pair(words.w0, words.w1, u[0], u[1]);
    zo::detail::normal_pair(words.w2, words.w3, u[2], u[3]);
    for (int v = 0; v < 4; ++v) {
      if constexpr (Queries) {
        const auto wide = static_cast<double>(zo::detail::fused(h, u[v], x));
        loss[v] += wide * wide;
      } else {
        sum[v] = zo::detail::fused(h, u[v], sum[v]);
      }
    }
  }
  double total = 0;
  for (int v = 0; v < 4; ++v) total += Queries ? loss[v] : static_cast<double>(sum[v]);
  // The compiler does not know that no total is this one.
  if (out != nullptr || total == 1.2345678e-300) out[blockIdx.y * blocks + block] = total;
}

// Several threads share the directions of a block, so that the last ones finish together.
constexpr unsigned sharing = 4;

template <bool Queries>
void launch_bare(const gpu& g, const zo::stream& from, zo::index_t directions, float x, float h,
                 zo::index_t dimension, double* out) {
  const zo::index_t blocks = dimension / 4;
  cudaLaunchConfig_t config{};
  config.stream = g.stream();
  config.blockDim = dim3(256, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((blocks + 255) / 256), sharing, 1);
  check(cudaLaunchKernelEx(&config, bare_arithmetic<Queries>, from, directions, x, h, blocks, out),
        "launching the bare arithmetic");
}

// The bare kernels do all of the work: their sums are those of the CPU.
void check_bare(const gpu& g) {
  constexpr zo::index_t dimension = 1024, directions = 6, blocks = dimension / 4;
  constexpr float x = 0.5f, h = 0.25f;
  const zo::stream from{.seed = 3, .step = 4, .number = 5};
  double losses = 0, sums = 0;
  for (zo::index_t k = 0; k < directions; ++k) {
    zo::stream one = from;
    one.number += static_cast<std::uint32_t>(k);
    std::vector<float> u(dimension);
    zo::fill_direction<zo::gaussian, float>({}, one, u);
    for (const float value : u) {
      losses += std::pow(static_cast<double>(zo::detail::fused(h, value, x)), 2);
      sums += static_cast<double>(h * value);
    }
  }
  const auto total = [&](const auto& launch) {
    zo::cuda::array<double> out(g.on(), blocks * sharing);
    launch(out.data());
    double all = 0;
    for (const double one : out.to_host()) all += one;
    return all;
  };
  expect_close(
      total([&](double* out) { launch_bare<true>(g, from, directions, x, h, dimension, out); }),
      losses, 1e-6, "the sum of the bare losses");
  expect_close(total([&](double* out) {
                 launch_bare<false>(g, from, directions, x, h, dimension, out);
               }) + 1000,
               sums + 1000, 1e-6, "the sum of the bare directions, plus 1000,");
}

class estimates {
 public:
  estimates(const gpu& g, zo::index_t dimension, zo::index_t directions)
      : g_(g),
        how_(estimator(directions)),
        x_(normals<float>(g, dimension)),
        gradient_(g.on(), dimension),
        memory_(g.on()) {}

  void operator()() {
    zo::estimate(g_.on(), squares{}, x_, gradient_, how_, {.seed = 1, .step = step_++}, memory_);
  }

  void check() {
    zo::estimate(g_.on(), squares{}, x_, gradient_, how_, {.seed = 1, .step = 77}, memory_);
    const std::vector<float> x = x_.to_host();
    std::vector<float> wanted(x.size());
    zo::estimate(zo::par, squares{}, x, wanted, how_, {.seed = 1, .step = 77});
    expect_same(gradient_.to_host(), wanted, "the gradient's coordinates");
  }

 private:
  const gpu& g_;
  zo::rge<zo::gaussian, zo::forward> how_;
  zo::cuda::array<float> x_, gradient_;
  zo::cuda::workspace memory_;
  std::uint64_t step_ = 0;
};

struct sizes {
  zo::index_t dimension, directions;
};
sizes sizes_of(const effort& how) { return how.smoke ? sizes{4096, 4} : sizes{1'000'000, 256}; }

outcome against_torch(const torch_times& torch, const std::string& name, const effort& how) {
  gpu& g = the_gpu();
  estimates(g, 40'000, 4).check();
  const sizes s = sizes_of(how);
  estimates ours(g, s.dimension, s.directions);
  return torch.against(
      name, how, [&] { ours(); }, 1e3);
}

outcome against_arithmetic(const effort& how) {
  gpu& g = the_gpu();
  estimates(g, 40'000, 4).check();
  check_bare(g);
  const sizes s = sizes_of(how);
  estimates ours(g, s.dimension, s.directions);
  zo::stream from{.seed = 1};
  const auto bare = [&] {
    ++from.step;
    launch_bare<true>(g, from, s.directions, 0.5f, 1e-3f, s.dimension, nullptr);
    launch_bare<false>(g, from, s.directions, 0.5f, 1e-3f, s.dimension, nullptr);
  };
  outcome o = times_as_fast(compare(
                                g.clock(how), how, [&] { ours(); }, bare),
                            1e3);
  o.note = "the limit makes the same q d normals twice, with the objective once, in registers";
  return o;
}

}  // namespace

std::vector<claim> lazy_claims(const torch_times& torch) {
  const std::string name = "Lazy RGE, sum of squares, Gaussian, forward, d = 1e6, q = 256";
  const auto timed = [&](const char* peer) {
    return [=](const effort& how) { return against_torch(torch, peer, how); };
  };
  return {
      {name, "bare arithmetic", "us/estimate", bar::at_least, 0.8, against_arithmetic},
      {name, "PyTorch, O(d) memory", "us/estimate", bar::at_least, 5, timed("lazy_rge")},
      {name, "PyTorch, 2 GB of memory", "us/estimate", bar::none, 0, timed("lazy_rge_stored")},
  };
}

}  // namespace bench
