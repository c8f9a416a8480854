// One forward pass of ResNet-20 in train mode, against LibTorch and against the processor.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <zo/zo.hpp>

#include "claims.hpp"
#include "multiplications.hpp"
#include "peers/limits.hpp"
#include "workload.hpp"
#include "zo/nn/forward.hpp"

namespace bench {
namespace {

constexpr double flops_of_a_multiplication = 2;  // an addition with each

// Both sides in GFLOP/s, for the same multiplications a call.
outcome speeds(const comparison& c, double multiplications) {
  outcome o = times_as_fast(c, 1);
  const double flops = flops_of_a_multiplication * multiplications * 1e-9;
  o.ours = flops / c.ours;
  o.peer = flops / c.theirs;
  return o;
}

class our_pass {
 public:
  our_pass(const workload& what, int threads)
      : what_(what), on_(zo::par.with_threads(threads)), pass_(what.net) {}

  void operator()() {
    pass_.run(on_, what_.parameters, what_.statistics, what_.images, what_.count,
              zo::nn::norm_mode::train);
  }
  std::span<const float> outputs() const { return pass_.outputs(); }

 private:
  const workload& what_;
  zo::parallel_policy on_;
  zo::nn::forward_pass<float> pass_;
};

void expect_close(std::span<const float> ours, std::span<const double> theirs) {
  double largest = 0, off = 0;
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    largest = std::fmax(largest, std::abs(theirs[i]));
    off = std::fmax(off, std::abs(static_cast<double>(ours[i]) - theirs[i]));
  }
  if (ours.size() != theirs.size() || !(off <= 1e-4 * largest)) {
    throw std::runtime_error("logits differ from the peer's by " + std::to_string(off) + ", of " +
                             std::to_string(largest));
  }
}

timing clock_of(int threads) { return threads == 1 ? timing::thread : timing::wall; }

outcome against_torch(zo::index_t count, int threads, peers::layout lies, const effort& how) {
  if (static_cast<int>(std::thread::hardware_concurrency()) < threads) {
    return skip("needs two processors");
  }
  const workload what(how.smoke ? 4 : count);
  const auto peer = what.peer({.lies = lies});
  if (!peer) return skip("peer not installed: LibTorch (Debian: libtorch-dev)");
  peer->use_threads(threads);
  our_pass ours(what, threads);
  ours();
  expect_close(ours.outputs(), peer->logits());
  const comparison found = compare(
      clock_of(threads), how, [&] { ours(); }, [&] { peer->forward(); });
  return speeds(found, static_cast<double>(what.count * what.net.multiplications()));
}

outcome against_peak(zo::index_t count, int threads, const effort& how) {
  if (static_cast<int>(std::thread::hardware_concurrency()) < threads) {
    return skip("needs two processors");
  }
  const workload what(how.smoke ? 4 : count);
  our_pass ours(what, threads);
  const double multiplications = static_cast<double>(what.count * what.net.multiplications());
  float alive[64] = {0.5F};
  const auto made = static_cast<double>(peers::multiply_adds(zo::instruction_set(), 1, alive));
  const auto rounds = static_cast<std::int64_t>(multiplications / made / threads);
  const auto peak = [&] {
    zo::detail::parallel_for(zo::par.with_threads(threads), threads, [&](zo::index_t item, int) {
      float value = 0.5F;
      peers::multiply_adds(zo::instruction_set(), rounds, &value);
      keep(value);
      static_cast<void>(item);
    });
  };
  outcome o = speeds(compare(
                         clock_of(threads), how, [&] { ours(); }, peak),
                     multiplications);
  const double needed = static_cast<double>(inner_multiplications(what.net)) /
                        static_cast<double>(what.net.multiplications());
  o.most = 1 / needed;
  o.note += (o.note.empty() ? "" : "; ") + std::string("without those by padding zeros: ratio ") +
            std::to_string(o.ratio * needed).substr(0, 5);
  return o;
}

// What the rows above call the limit, against the processor: two multiply-adds a cycle. A loop
// whose sums do not stay in registers, or that is narrower than its set, does not reach it; neither
// does a processor with one unit for vectors of this width.
outcome peak_against_clock(const effort& how) {
  if (!peers::spend_cycles(1)) return skip("no clock to count by on this processor");
  constexpr std::int64_t rounds = 200'000, units = 2;
  const auto multiply = [](std::int64_t some) {
    float value = 0.5F;
    const std::int64_t made = peers::multiply_adds(zo::instruction_set(), some, &value);
    keep(value);
    return made;
  };
  const auto made = static_cast<double>(multiply(rounds));
  return speeds(compare(
                    timing::thread, how, [&] { multiply(rounds); },
                    [] { peers::spend_cycles(rounds * peers::multiply_adds_of_round / units); }),
                made);
}

std::string times(zo::index_t count, int threads) {
  return "ResNet-20 forward, train mode, batch " + std::to_string(count) + ", " +
         std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace

std::vector<claim> forward_claims() {
  std::vector<claim> claims;
  claims.push_back({"multiply-adds on registers, 1 thread", "two a cycle, by dependent additions",
                    "GFLOP/s", bar::at_least, 0.9, peak_against_clock});
  for (const zo::index_t count : {32, 512}) {
    for (const int threads : {1, 2}) {
      const std::string name = times(count, threads);
      claims.push_back({name, "LibTorch", "GFLOP/s", bar::at_least,
                        count == 32 ? bar_value(1.6, 1.3) : bar_value(2.2), [=](const effort& how) {
                          return against_torch(count, threads, peers::layout::usual, how);
                        }});
      claims.push_back(
          {name, "LibTorch, channels_last", "GFLOP/s", bar::above, 1, [=](const effort& how) {
             return against_torch(count, threads, peers::layout::channels_last, how);
           }});
      claims.push_back({name,
                        "multiply-adds on registers",
                        "GFLOP/s",
                        bar::at_least,
                        {0.55, 0.6},
                        [=](const effort& how) { return against_peak(count, threads, how); }});
    }
  }
  return claims;
}

}  // namespace bench
