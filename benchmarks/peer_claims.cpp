// zo against the usual ways of doing the same, from d = 1e3 to 1e7.
#include <cmath>
#include <string>
#include <vector>
#include <zo/zo.hpp>

#include "claims.hpp"
#if defined(ZO_BENCH_HAS_EIGEN)
#include "peers/estimators.hpp"
#endif

namespace bench {
namespace {

#if defined(ZO_BENCH_HAS_EIGEN)

// One estimate after another at a fixed x, memory kept, as a run does it.
template <class How>
class estimates {
 public:
  estimates(const std::vector<float>& x, How how) : x_(x), how_(how), gradient_(x.size()) {}

  void operator()() {
    auto f = [](std::span<const float> x) { return peers::shifted_squares(x); };
    zo::estimate(zo::seq, f, x_, gradient_, how_, {.seed = 1, .step = step_++}, memory_);
    keep(gradient_[0]);
  }

 private:
  const std::vector<float>& x_;
  How how_;
  std::vector<float> gradient_;
  zo::workspace<float> memory_;
  std::uint64_t step_ = 0;
};

template <class Peer, class How>
outcome against(Peer& peer, const std::vector<float>& x, How how, const effort& effort) {
  estimates ours(x, how);
  const auto theirs = [&] { keep(peer.estimate(peers::shifted_squares)[0]); };
  return times_as_fast(compare(
                           timing::thread, effort, [&] { ours(); }, theirs),
                       static_cast<double>(how.queries(static_cast<zo::index_t>(x.size()))) * 1e3);
}

outcome against_spsa(std::size_t dimension, const effort& how) {
  const std::vector<float> x(dimension, 0.5f);
  peers::spsa peer(x, 1e-2f);
  return against(
      peer, x, zo::rge({.directions = 1, .smoothing = 1e-2}, zo::rademacher{}, zo::central{}), how);
}

outcome against_stored(std::size_t dimension, const effort& how) {
  constexpr zo::index_t directions = 4;
  const std::vector<float> x(dimension, 0.5f);
  peers::stored_rge peer(x, directions, 1e-2f);
  return against(peer, x, zo::rge({.directions = directions, .smoothing = 1e-2}), how);
}

#else

outcome against_spsa(std::size_t, const effort&) {
  return skip("peer not installed: Eigen (Debian: libeigen3-dev)");
}
outcome against_stored(std::size_t dimension, const effort& how) {
  return against_spsa(dimension, how);
}

#endif

}  // namespace

std::vector<claim> peer_claims() {
  std::vector<claim> claims;
  for (int power = 3; power <= 7; ++power) {
    const std::string d = "d = 1e" + std::to_string(power);
    const auto dimension = static_cast<std::size_t>(std::pow(10, power));
    claims.push_back({"RGE, Rademacher, central, q = 1, " + d, "SPSA as in ensmallen", "us/query",
                      bar::above, 1, [dimension](const effort& how) {
                        return against_spsa(how.smoke ? 1000 : dimension, how);
                      }});
    claims.push_back({"RGE, Gaussian, forward, q = 4, " + d, "Eigen, stored directions", "us/query",
                      bar::above, 1, [dimension](const effort& how) {
                        return against_stored(how.smoke ? 1000 : dimension, how);
                      }});
  }
  return claims;
}

}  // namespace bench
