// Steps like MeZO's: one direction, central differences, an update, on parameters of float and
// bfloat16. The objective is the first coordinate, so that everything else is what is timed.
#include <string>

#include "claims.hpp"
#include "gpu.hpp"

namespace bench {
namespace {

// Large enough for bfloat16 to show each move to the check; no time depends on them.
constexpr float smoothing = 0.1f, rate = 0.1f;

ZO_HD float weight_of(double upper, double lower) {
  const double slope = (upper - lower) / (2 * static_cast<double>(smoothing));
  return static_cast<float>(-static_cast<double>(rate) * slope);
}

template <class T>
__global__ void first_coordinate(const T* x, double* loss) {
  *loss = static_cast<double>(static_cast<float>(x[0]));
}

__global__ void weigh(const double* losses, float* weight) {
  *weight = weight_of(losses[0], losses[1]);
}

// x and one candidate are in memory; x is read by three kernels and written by one of them.
template <class T>
class mezo {
 public:
  mezo(const gpu& g, zo::index_t dimension)
      : g_(g),
        x_(normals<T>(g, dimension)),
        candidate_(g.on(), dimension),
        losses_(g.on(), 2),
        weight_(g.on(), 1) {}

  void operator()() {
    const zo::stream from{.seed = 1, .step = step_++};
    ask(from, smoothing, losses_.data());
    ask(from, -smoothing, losses_.data() + 1);
    launch(weigh, static_cast<const double*>(losses_.data()), weight_.data());
    zo::cuda::accumulate(g_.on(), zo::gaussian{}, from, weight_, zo::cuda::span<T>(x_));
  }

  // A few steps, against the CPU.
  void check() {
    std::vector<T> wanted = x_.to_host();
    const auto dimension = static_cast<zo::index_t>(wanted.size());
    for (int step = 0; step < 3; ++step) {
      const zo::stream from{.seed = 1, .step = step_};
      std::vector<float> x;
      for (const T value : wanted) x.push_back(static_cast<float>(value));
      const auto loss = [&](float h) {
        std::vector<float> at(x.size());
        zo::detail::perturb<zo::gaussian>(from, 0, dimension, x.data(), h, at.data());
        return static_cast<double>(static_cast<float>(static_cast<T>(at[0])));
      };
      const float weight = weight_of(loss(smoothing), loss(-smoothing));
      zo::detail::accumulate<zo::gaussian>(from, 1, &weight, 0, dimension, x.data());
      for (std::size_t i = 0; i < x.size(); ++i) wanted[i] = static_cast<T>(x[i]);
      (*this)();
    }
    expect_same(x_.to_host(), wanted, "the parameters after three steps");
  }

 private:
  void ask(const zo::stream& from, float h, double* loss) {
    zo::cuda::perturb(g_.on(), zo::gaussian{}, from, x_, h, zo::cuda::span<T>(candidate_));
    launch(first_coordinate<T>, static_cast<const T*>(candidate_.data()), loss);
  }

  template <class... Parameters>
  void launch(void (*kernel)(Parameters...), Parameters... arguments) {
    cudaLaunchConfig_t config{};
    config.stream = g_.stream();
    config.gridDim = config.blockDim = dim3(1, 1, 1);
    bench::check(cudaLaunchKernelEx(&config, kernel, arguments...), "launching the objective");
  }

  const gpu& g_;
  zo::cuda::array<T> x_, candidate_;
  zo::cuda::array<double> losses_;
  zo::cuda::array<float> weight_;
  std::uint64_t step_ = 0;
};

template <class T>
outcome steps(const torch_times& torch, const std::string& peer, zo::index_t dimension,
              const effort& how) {
  gpu& g = the_gpu();
  mezo<T>(g, 5000).check();
  if (how.smoke) dimension = 5000;
  if (g.fitting(dimension, 2 * sizeof(T)) < dimension) {
    return skip("x and a candidate do not fit in the GPU's free memory");
  }
  mezo<T> ours(g, dimension);
  return torch.against(
      peer, how, [&] { ours(); }, 1e3);
}

template <class T>
void add(std::vector<claim>& claims, const torch_times& torch, const std::string& type) {
  for (const int power : {8, 9}) {
    const auto dimension = power == 8 ? zo::index_t{100'000'000} : zo::index_t{1'000'000'000};
    const std::string d = "d = 1e" + std::to_string(power);
    const std::string name = "Step of MeZO, Gaussian, central, q = 1, " + type + ", " + d;
    const std::string key = "mezo_" + type + "_1e" + std::to_string(power);
    claims.push_back({name, "PyTorch, as published", "us/step", bar::at_least, 3,
                      [=](const effort& how) { return steps<T>(torch, key, dimension, how); }});
    claims.push_back({name, "PyTorch, in place", "us/step", bar::none, 0, [=](const effort& how) {
                        return steps<T>(torch, key + "_in_place", dimension, how);
                      }});
  }
}

}  // namespace

std::vector<claim> mezo_claims(const torch_times& torch) {
  std::vector<claim> claims;
  add<float>(claims, torch, "float");
  add<zo::bfloat16>(claims, torch, "bfloat16");
  return claims;
}

}  // namespace bench
