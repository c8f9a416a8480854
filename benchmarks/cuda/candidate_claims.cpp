// How fast candidates of batch objectives are written.
#include <string>

#include "claims.hpp"
#include "gpu.hpp"

namespace bench {
namespace {

constexpr zo::index_t count = 8;
constexpr double step = 1e-3;

// Candidates of one x, of new directions at each call.
template <class L>
class candidates {
 public:
  candidates(const gpu& g, zo::index_t dimension)
      : g_(g),
        dimension_(dimension),
        x_(normals<float>(g, dimension)),
        out_(g.on(), count * dimension) {}

  void operator()() {
    ++from_.step;
    zo::cuda::detail::enqueue<L>(
        g_.on(), zo::cuda::detail::candidates<float>{
                     {from_, count}, 1, step, x_.data(), dimension_, 0, count, out_.data()});
  }

  // The last tile of the last candidate, against the CPU.
  void check() {
    (*this)();
    zo::stream last = from_;
    last.number = count - 1;
    const zo::index_t first = (dimension_ - 1) / zo::detail::tile * zo::detail::tile;
    const zo::index_t length = dimension_ - first;
    const std::vector<float> x = part<float>(g_, x_.data(), first, length);
    std::vector<float> wanted(x.size());
    zo::detail::perturb<L>(last, first, length, x.data(), static_cast<float>(step), wanted.data());
    expect_same(part<float>(g_, out_.data(), (count - 1) * dimension_ + first, length), wanted,
                "the candidates");
  }

 private:
  const gpu& g_;
  zo::index_t dimension_;
  zo::stream from_{.seed = 1};
  zo::cuda::array<float> x_, out_;
};

template <class L>
outcome written(const effort& how) {
  gpu& g = the_gpu();
  candidates<L>(g, 5000).check();
  // Larger than the cache, so that each candidate reads x from memory.
  const zo::index_t dimension = how.smoke ? 5000 : g.fitting(100'000'000, 4 * (count + 1) * 2);
  candidates<L> ours(g, dimension);
  ours.check();
  outcome o = share_of_copies(
      how, [&] { ours(); }, 2.0 * sizeof(float) * static_cast<double>(count * dimension));
  o.note = "8 candidates of d = " + std::to_string(dimension) +
           "; bytes: each candidate written, and x read once for each";
  return o;
}

}  // namespace

std::vector<claim> candidate_claims() {
  return {
      {"Candidates written, Rademacher", "copy on the device", "GB/s", bar::at_least, 0.85,
       written<zo::rademacher>},
      {"Candidates written, Gaussian", "copy on the device", "GB/s", bar::at_least, 0.60,
       written<zo::gaussian>},
  };
}

}  // namespace bench
