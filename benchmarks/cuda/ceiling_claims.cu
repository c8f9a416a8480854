// What this GPU can do at best: the ceilings beside which the other rows are to be read.
#include <cmath>
#include <limits>

#include "claims.hpp"
#include "gpu.hpp"
#include "peers/curand_cublas.hpp"

namespace bench {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

// A rate without a peer: `amount` in one call.
outcome rate(const effort& how, const std::function<void()>& call, double amount) {
  const comparison c = compare_with(none, the_gpu().clock(how), how, call);
  outcome o;
  o.ours = amount / c.ours;
  o.peer = o.ratio = o.low = o.high = none;
  o.pairs = c.pairs;
  return o;
}

outcome copy(const effort& how) {
  copies work(the_gpu(), how);
  return rate(
      how, [&] { work(); }, 1e-9 * work.bytes());
}

struct alignas(16) four {
  float values[4];
};

__global__ void move_elements(const four* x, zo::index_t count, four* out) {
  const zo::index_t i = static_cast<zo::index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  four one = x[i];
  for (float& value : one.values) value = 2.0f * value + 1.0f;
  out[i] = one;
}

outcome elements(const effort& how) {
  gpu& g = the_gpu();
  const zo::index_t count = how.smoke ? 4096 : g.fitting(zo::index_t{1} << 29, 16);
  const auto x = normals<float>(g, count);
  zo::cuda::array<float> out(g.on(), count);
  cudaLaunchConfig_t config{};
  config.stream = g.stream();
  config.blockDim = dim3(256, 1, 1);
  config.gridDim = dim3(static_cast<unsigned>((count / 4 + 255) / 256), 1, 1);
  const auto run = [&] {
    check(cudaLaunchKernelEx(&config, move_elements, reinterpret_cast<const four*>(x.data()),
                             count / 4, reinterpret_cast<four*>(out.data())),
          "launching an element-wise kernel");
  };
  run();
  std::vector<float> wanted = part(g, x.data(), count - 1000, 1000);
  for (float& value : wanted) value = 2.0f * value + 1.0f;
  expect_same(part<float>(g, out.data(), count - 1000, 1000), wanted, "the element-wise numbers");
  return share_of_copies(how, run, 2.0 * sizeof(float) * static_cast<double>(count));
}

// c = a b by `multiply`, checked on a small matrix and timed on a large one.
template <class T, class Multiply>
outcome product(const effort& how, const Multiply& multiply, double tolerance) {
  gpu& g = the_gpu();
  const auto made = [&](int n, const auto& use) {
    const zo::index_t size = zo::index_t{n} * n;
    const auto a = normals<T>(g, size), b = normals<T>(g, size, 0.5f);
    zo::cuda::array<T> c(g.on(), size);
    const std::function<void()> call = multiply(g.stream(), n, a.data(), b.data(), c.data());
    return call ? use(call, a, b, c) : skip("peer not installed: cuBLAS");
  };
  constexpr int small = 64;
  const outcome o = made(small, [&](const auto& call, const auto& a, const auto& b, const auto& c) {
    call();
    const auto left = a.to_host(), right = b.to_host(), found = c.to_host();
    double wanted = 0, all = 0;
    for (std::size_t k = 0; k < small; ++k) {  // row 5, column 7
      const double term = static_cast<double>(static_cast<float>(left[k * small + 5])) *
                          static_cast<double>(static_cast<float>(right[7 * small + k]));
      wanted += term;
      all += std::abs(term);
    }
    expect_close(static_cast<double>(static_cast<float>(found[7 * small + 5])) + all, wanted + all,
                 tolerance, "a coordinate of the product, added to its size,");
    return outcome{};
  });
  if (!o.skipped.empty()) return o;
  const int size = how.smoke ? small : 8192;
  return made(size, [&](const auto& call, const auto&, const auto&, const auto&) {
    return rate(how, call, 2e-12 * std::pow(size, 3));
  });
}

}  // namespace

std::vector<claim> ceiling_claims() {
  return {
      {"Copy on the device, bytes read and written", "ceiling", "GB/s", bar::none, 0, copy},
      {"Kernel: read x, write out", "copy on the device", "GB/s", bar::none, 0, elements},
      {"Matrix product, float, n = 8192", "ceiling (cuBLAS)", "TFLOP/s", bar::none, 0,
       [](const effort& how) {
         return product<float>(
             how, [](auto... arguments) { return peers::product(arguments...); }, 1e-5);
       }},
      {"Matrix product, bfloat16 with sums in float, n = 8192", "ceiling (cuBLAS)", "TFLOP/s",
       bar::none, 0,
       [](const effort& how) {
         return product<zo::bfloat16>(
             how, [](auto... arguments) { return peers::product_of_bfloat16(arguments...); }, 1e-2);
       }},
  };
}

}  // namespace bench
