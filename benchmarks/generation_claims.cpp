// How fast directions are generated and added up, never stored.
#include <thread>
#include <vector>
#include <zo/zo.hpp>

#include "accumulation.hpp"
#include "claims.hpp"
#include "peers/torch_normal.hpp"

namespace bench {
namespace {

constexpr zo::index_t directions = 16;

constexpr double elements(zo::index_t dimension) {
  return static_cast<double>(dimension) * static_cast<double>(directions);
}

template <class L>
outcome against_torch(const effort& how) {
  constexpr zo::index_t dimension = 100'000;  // in the second-level cache for both sides
  auto normals = peers::torch_normal(dimension);
  if (!normals) return skip("peer not installed: LibTorch (Debian: libtorch-dev)");
  accumulation<L, float> ours(dimension, directions, 1);
  const auto theirs = [&] {
    for (zo::index_t k = 0; k < directions; ++k) normals();
  };
  return times_as_fast(compare(
                           timing::thread, how, [&] { keep(ours()); }, theirs),
                       elements(dimension));
}

outcome two_threads(const effort& how) {
  if (std::thread::hardware_concurrency() < 2) return skip("needs two processors");
  const zo::index_t dimension = how.smoke ? 10'000 : 1'000'000;
  accumulation<zo::gaussian, float> two(dimension, directions, 2), one(dimension, directions, 1);
  return times_as_fast(compare(
                           timing::wall, how, [&] { keep(two()); }, [&] { keep(one()); }),
                       elements(dimension));
}

}  // namespace

std::vector<claim> generation_claims() {
  return {
      {"Gaussian directions, generated and accumulated, d = 1e5, 1 thread",
       "torch normal_, 1 thread",
       "ns/element",
       bar::at_least,
       {4, 2.8},
       against_torch<zo::gaussian>},
      {"Rademacher directions, generated and accumulated, d = 1e5, 1 thread",
       "torch normal_, 1 thread", "ns/element", bar::at_least, 25, against_torch<zo::rademacher>},
      {"Gaussian directions, generated and accumulated, d = 1e6, 2 threads", "1 thread",
       "ns/element", bar::at_least, 1.85, two_threads},
  };
}

}  // namespace bench
