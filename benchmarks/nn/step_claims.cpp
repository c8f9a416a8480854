// One DeepZero step of ResNet-20 at 90 % sparsity, against the same step in LibTorch with reuse at
// the granularity of blocks, and the error of both.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <zo/zo.hpp>

#include "claims.hpp"
#include "multiplications.hpp"
#include "step.hpp"

namespace bench {
namespace {

using zo::nn::products;

constexpr float mu = 5e-3F;
constexpr const char* no_peer = "peer not installed: LibTorch (Debian: libtorch-dev)";

// How much of a step is measured, by batch: ours answers many coordinates at once, the peer one
// after another.
struct sample_sizes {
  zo::index_t ours, theirs, errors;  // coordinates of a tensor
};
sample_sizes sizes_for(zo::index_t count, const effort& how) {
  if (how.smoke) return {1, 1, 1};
  return count <= 32 ? sample_sizes{8, 2, 4} : sample_sizes{2, 1, 1};
}

zo::index_t samples(zo::index_t count, const effort& how) { return how.smoke ? 2 : count; }

timing clock_of(int threads) { return threads == 1 ? timing::thread : timing::wall; }

effort effort_of(effort how) {
  how.least_pairs = 3;
  how.most_pairs = 7;
  how.total_seconds = 12;
  return how;
}

// Ours: all sampled coordinates of a tensor in one call.
template <class T>
class our_step {
 public:
  our_step(const workload& what, int threads, products how = products::exact)
      : parameters_(what.parameters.begin(), what.parameters.end()),
        statistics_(what.statistics.begin(), what.statistics.end()),
        on_(zo::par.with_threads(threads)),
        objective_(what.objective<T>(statistics_, {.products = how})) {}

  void prepare() { objective_.prepare(on_, parameters_, 0); }

  // Differences of the loss for the first `most` sampled coordinates.
  std::vector<double> probe(const stratum& part, zo::index_t most) {
    const std::size_t n = std::min(part.sampled.size(), static_cast<std::size_t>(most));
    steps_.assign(n, T(mu));
    std::vector<double> differences(n);
    objective_.probe(on_, std::span(part.sampled).first(n), steps_, differences);
    return differences;
  }

  step_side side(zo::index_t most) {
    return {[this] { prepare(); },
            [this, most](const stratum& part) {
              return static_cast<zo::index_t>(probe(part, most).size());
            }};
  }

  zo::index_t multiplications() const { return objective_.multiplications(); }

 private:
  std::vector<T> parameters_, statistics_, steps_;
  zo::parallel_policy on_;
  zo::nn::objective<T> objective_;
};

class their_step {
 public:
  explicit their_step(peers::torch_resnet& net) : net_(net) {}

  void prepare() { base_ = net_.prepare(); }

  std::vector<double> probe(const stratum& part, zo::index_t most) {
    std::vector<std::int64_t> elements;
    for (const zo::index_t coordinate : part.sampled) {
      if (static_cast<zo::index_t>(elements.size()) == most) break;
      elements.push_back(coordinate - part.tensor->offset);
    }
    std::vector<double> losses(elements.size());
    net_.probe(part.tensor->name, elements, mu, losses);
    for (double& loss : losses) loss -= base_;
    return losses;
  }

  step_side side(zo::index_t most) {
    return {[this] { prepare(); },
            [this, most](const stratum& part) {
              return static_cast<zo::index_t>(probe(part, most).size());
            }};
  }

 private:
  peers::torch_resnet& net_;
  double base_ = 0;
};

// Differences at a few coordinates of every tensor, in double; the same from LibTorch in double
// shows that both mean the same step.
template <class Step>
std::vector<std::vector<double>> differences_of(Step& how, const std::vector<stratum>& step,
                                                zo::index_t most) {
  how.prepare();
  std::vector<std::vector<double>> all;
  for (const stratum& part : step) all.push_back(how.probe(part, most));
  return all;
}

void expect_the_same_step() {
  const workload what(4);
  const std::vector<stratum> step = sparse_step(what.net, 1);
  const auto peer = what.peer({.type = peers::precision::twice});
  our_step<double> ours(what, 1);
  their_step theirs(*peer);
  const auto found = differences_of(ours, step, 1), wanted = differences_of(theirs, step, 1);
  for (std::size_t k = 0; k < step.size(); ++k) {
    if (!(std::abs(found[k][0] - wanted[k][0]) <= 1e-7 * std::abs(wanted[k][0]) + 1e-13)) {
      throw std::runtime_error("in double, " + step[k].tensor->name + " changes the loss by " +
                               std::to_string(found[k][0]) + ", and in LibTorch by " +
                               std::to_string(wanted[k][0]));
    }
  }
}

// Distance to `exact` relative to its norm, as of the whole estimate: each tensor counts as often
// as the step has coordinates in it.
double error_of(const std::vector<std::vector<double>>& found,
                const std::vector<std::vector<double>>& exact, const std::vector<stratum>& step) {
  double off = 0, all = 0;
  for (std::size_t k = 0; k < step.size(); ++k) {
    const double weight =
        static_cast<double>(step[k].active) / static_cast<double>(exact[k].size());
    for (std::size_t i = 0; i < exact[k].size(); ++i) {
      off += weight * (found[k][i] - exact[k][i]) * (found[k][i] - exact[k][i]);
      all += weight * exact[k][i] * exact[k][i];
    }
  }
  return std::sqrt(off / all);
}

// The count that the rows on arithmetic and multiplications use is what the library made.
void expect_the_count(const our_step<float>& made, const workload& what,
                      const std::vector<stratum>& step, zo::index_t most) {
  zo::index_t wanted = 0;
  for (const stratum& part : step) {
    wanted += std::min(static_cast<zo::index_t>(part.sampled.size()), most) * what.count *
              multiplications_of(what.net, *part.tensor, reuse::channel, borders::multiplied);
  }
  if (made.multiplications() != wanted) {
    throw std::runtime_error("the library made " + std::to_string(made.multiplications()) +
                             " multiplications, and " + std::to_string(wanted) + " are counted");
  }
}

// What errors are measured against, and the peer's: once for all rows that tell about it.
struct reference {
  std::vector<std::vector<double>> exact, theirs;  // by tensor; empty without a peer
};

const reference& reference_of(zo::index_t count, const workload& what,
                              const std::vector<stratum>& step, zo::index_t most) {
  static std::map<zo::index_t, reference> known;
  const auto [at, is_new] = known.try_emplace(count);
  const auto peer = what.peer({.lies = peers::layout::usual});
  if (!is_new || !peer) return at->second;
  expect_the_same_step();
  our_step<double> exact(what, 2);
  their_step theirs(*peer);
  at->second = {differences_of(exact, step, most), differences_of(theirs, step, most)};
  return at->second;
}

outcome errors(zo::index_t count, products products, const effort& how) {
  const workload what(samples(count, how));
  const zo::index_t most = sizes_for(count, how).errors;
  const std::vector<stratum> step = sparse_step(what.net, most);
  const auto& [exact, theirs] = reference_of(count, what, step, most);
  if (exact.empty()) return skip(no_peer);
  our_step<float> ours(what, 1, products), on_two_threads(what, 2, products);
  const auto found = differences_of(ours, step, most);
  expect_the_count(ours, what, step, most);
  if (differences_of(on_two_threads, step, most) != found) {
    throw std::runtime_error("one thread and two give different bits");
  }
  outcome o;
  o.ours = error_of(found, exact, step);
  o.peer = error_of(theirs, exact, step);
  o.ratio = o.low = o.high = o.ours / o.peer;
  o.pairs = 1;
  return o;
}

// The sides of a step that are timed together.
enum side : std::size_t { exact, bfloat16, torch, torch_channels_last };

// Measured once for all rows that tell about it; without a peer only our sides.
const step_times& times_of(zo::index_t count, int threads, const effort& how) {
  static std::map<std::pair<zo::index_t, int>, step_times> known;
  const auto [at, is_new] = known.try_emplace({count, threads});
  if (!is_new) return at->second;
  const workload what(samples(count, how));
  const sample_sizes sizes = sizes_for(count, how);
  const std::vector<stratum> step = sparse_step(what.net, sizes.ours);
  our_step<float> in_float(what, threads), in_bfloat16(what, threads, products::bfloat16);
  std::vector<step_side> sides = {in_float.side(sizes.ours), in_bfloat16.side(sizes.ours)};
  const auto usual = what.peer({.lies = peers::layout::usual});
  const auto last = what.peer({.lies = peers::layout::channels_last});
  std::vector<their_step> theirs;
  if (usual && last) {
    expect_the_same_step();
    usual->use_threads(threads);
    theirs.reserve(2);  // sides point into it
    theirs.emplace_back(*usual);
    theirs.emplace_back(*last);
    for (their_step& one : theirs) sides.push_back(one.side(sizes.theirs));
  }
  at->second = time_steps(clock_of(threads), effort_of(how), step, sides);
  return at->second;
}

outcome times(zo::index_t count, int threads, side ours, side theirs, const effort& how) {
  if (static_cast<int>(std::thread::hardware_concurrency()) < threads) {
    return skip("needs two processors");
  }
  const step_times& found = times_of(count, threads, how);
  if (theirs >= found.seconds.size()) return skip(no_peer);
  return times_as_fast(found.between(ours, theirs), 1e9);  // the unit is seconds
}

// Multiplications and additions that each way of making the step cannot avoid, by its time.
outcome speeds(zo::index_t count, side ours, side theirs, const effort& how) {
  const step_times& times = times_of(count, 1, how);
  if (theirs >= times.seconds.size()) return skip(no_peer);
  const comparison found = times.between(ours, theirs);
  const zo::nn::network net = zo::nn::resnet(20);
  const double each = 2e-9 * static_cast<double>(samples(count, how));
  outcome o = times_as_fast(found, 1);
  o.ours = each * step_multiplications(net, reuse::channel, borders::skipped) / found.ours;
  o.peer = each * step_multiplications(net, reuse::block, borders::multiplied) / found.theirs;
  const double fewer = o.ours / o.peer * found.ours / found.theirs;
  o.ratio *= fewer;
  o.low *= fewer;
  o.high *= fewer;
  return o;
}

// AMX. Without it products in bfloat16 are those in float, and as fast; a little less by
// measurement.
bool has_tiles_of_bfloat16() {
  std::ifstream file("/proc/cpuinfo");
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  return all.find(" amx_bf16") != std::string::npos;
}

outcome two_threads(zo::index_t count, const effort& how) {
  if (std::thread::hardware_concurrency() < 2) return skip("needs two processors");
  const workload what(samples(count, how));
  const sample_sizes sizes = sizes_for(count, how);
  const std::vector<stratum> step = sparse_step(what.net, sizes.ours);
  our_step<float> two(what, 2), one(what, 1);
  const std::vector<step_side> sides = {two.side(sizes.ours), one.side(sizes.ours)};
  return times_as_fast(time_steps(timing::wall, effort_of(how), step, sides).between(0, 1), 1e9);
}

}  // namespace

std::vector<claim> step_claims() {
  std::vector<claim> claims;
  const bool tiles = has_tiles_of_bfloat16();
  const std::string step = "DeepZero step, ResNet-20, 90 % sparse, batch ";
  for (const zo::index_t count : {32, 256}) {
    const std::string name = step + std::to_string(count);
    const auto add = [&](const std::string& what, const std::string& peer, const std::string& unit,
                         bar kind, bar_value limit, std::function<outcome(const effort&)> measure) {
      claims.push_back({name + what, peer, unit, kind, limit, std::move(measure)});
    };
    add(", error to float64", "LibTorch", "of its norm", bar::at_most, 1,
        [=](const effort& how) { return errors(count, products::exact, how); });
    add(", bfloat16, error to float64", "LibTorch", "of its norm", bar::at_most, 1,
        [=](const effort& how) { return errors(count, products::bfloat16, how); });
    for (const int threads : {1, 2}) {
      const std::string on = threads == 1 ? ", 1 thread" : ", 2 threads";
      const auto add_times = [&](const std::string& what, side ours, const std::string& peer,
                                 side theirs, bar kind, bar_value limit) {
        add(what + on, peer, "s/step", kind, limit,
            [=](const effort& how) { return times(count, threads, ours, theirs, how); });
      };
      add_times("", exact, "LibTorch, block reuse", torch, bar::at_least, {2.4, 2.1});
      add_times("", exact, "the same, channels_last", torch_channels_last, bar::above, 1);
      add_times(", bfloat16", bfloat16, "LibTorch, block reuse", torch, bar::at_least,
                {tiles ? 3.2 : 2.4, 2.1});
      add_times(", bfloat16", bfloat16, "the same, channels_last", torch_channels_last, bar::above,
                1);
      add_times(", bfloat16", bfloat16, "float", exact, bar::at_least, {tiles ? 1.2 : 0.95, 0.95});
    }
    add(", arithmetic, 1 thread", "LibTorch, channels_last", "GFLOP/s", bar::none, 0,
        [=](const effort& how) { return speeds(count, exact, torch_channels_last, how); });
  }
  claims.push_back({step + "32, 2 threads", "1 thread", "s/step", bar::none, 0,
                    [](const effort& how) { return two_threads(32, how); }});
  return claims;
}

}  // namespace bench
