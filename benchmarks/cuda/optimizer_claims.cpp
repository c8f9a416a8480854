// Steps of the optimizers as a share of what the memory can do.
#include "claims.hpp"
#include "gpu.hpp"

namespace bench {
namespace {

// Three steps, against the CPU.
template <class Rule>
void check_steps(const gpu& g, const Rule& rule) {
  constexpr zo::index_t dimension = 5000;
  auto x = normals<float>(g, dimension);
  const auto gradient = normals<float>(g, dimension, 0.1f);
  std::vector<float> wanted = x.to_host();
  const std::vector<float> slopes = gradient.to_host();
  zo::cuda::updater<Rule, float> ours(g.on(), rule, dimension);
  zo::updater<Rule, float> theirs(rule, dimension);
  for (int step = 0; step < 3; ++step) {
    ours.step(g.on(), x, gradient);
    theirs.step(zo::seq, wanted, slopes);
  }
  expect_same(x.to_host(), wanted, "the steps");
}

// `vectors`: how many numbers of a coordinate a step reads and writes.
template <class Rule>
outcome steps(const Rule& rule, int vectors, const effort& how) {
  gpu& g = the_gpu();
  check_steps(g, rule);
  const zo::index_t dimension = how.smoke ? 5000 : g.fitting(100'000'000, 32);
  auto x = normals<float>(g, dimension);
  const auto gradient = normals<float>(g, dimension, 0.1f);
  zo::cuda::updater<Rule, float> updater(g.on(), rule, dimension);
  outcome o = share_of_copies(
      how, [&] { updater.step(g.on(), x, gradient); },
      static_cast<double>(vectors) * sizeof(float) * static_cast<double>(dimension));
  o.note = "d = " + std::to_string(dimension);
  return o;
}

}  // namespace

std::vector<claim> optimizer_claims() {
  return {
      {"Step of sgd, float: reads x and g, writes x", "copy on the device", "GB/s", bar::at_least,
       0.8, [](const effort& how) { return steps(zo::sgd({.rate = 1e-3}), 3, how); }},
      {"Step of adam, float: reads x, g, m, v, writes x, m, v", "copy on the device", "GB/s",
       bar::at_least, 0.8,
       [](const effort& how) { return steps(zo::adam({.rate = 1e-3}), 7, how); }},
  };
}

}  // namespace bench
