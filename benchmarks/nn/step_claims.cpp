// One DeepZero step of ResNet-20 at 90 % sparsity, against the same step in LibTorch with reuse at
// the granularity of blocks, and the error of both.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <zo/zo.hpp>

#include "claims.hpp"
#include "multiplications.hpp"
#include "step.hpp"

namespace bench {
namespace {

constexpr float mu = 5e-3F;
constexpr const char* no_peer = "peer not installed: LibTorch (Debian: libtorch-dev)";

// How much of a step is measured, by batch: ours answers many coordinates at once, the peer one
// after another.
struct sample_sizes {
  zo::index ours, theirs, errors;  // coordinates of a tensor
};
sample_sizes sizes_for(zo::index count, const effort& how) {
  if (how.smoke) return {1, 1, 1};
  return count <= 32 ? sample_sizes{8, 2, 2} : sample_sizes{2, 1, 1};
}

zo::index samples(zo::index count, const effort& how) { return how.smoke ? 2 : count; }

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
  our_step(const workload& what, int threads)
      : parameters_(what.parameters.begin(), what.parameters.end()),
        statistics_(what.statistics.begin(), what.statistics.end()),
        objective_(what.objective<T>(statistics_, threads)) {}

  void prepare() { objective_.prepare(parameters_, 0); }

  // Differences of the loss for the first `most` sampled coordinates.
  std::vector<double> probe(const stratum& part, zo::index most) {
    const std::size_t n = std::min(part.sampled.size(), static_cast<std::size_t>(most));
    steps_.assign(n, T(mu));
    std::vector<double> differences(n);
    objective_.probe(std::span(part.sampled).first(n), steps_, differences);
    return differences;
  }

  step_side side(zo::index most) {
    return {[this] { prepare(); },
            [this, most](const stratum& part) {
              return static_cast<zo::index>(probe(part, most).size());
            }};
  }

 private:
  std::vector<T> parameters_, statistics_, steps_;
  zo::nn::objective<T> objective_;
};

class their_step {
 public:
  explicit their_step(peers::torch_resnet& net) : net_(net) {}

  void prepare() { base_ = net_.prepare(); }

  std::vector<double> probe(const stratum& part, zo::index most) {
    std::vector<std::int64_t> elements;
    for (const zo::index coordinate : part.sampled) {
      if (static_cast<zo::index>(elements.size()) == most) break;
      elements.push_back(coordinate - part.tensor->offset);
    }
    std::vector<double> losses(elements.size());
    net_.probe(part.tensor->name, elements, mu, losses);
    for (double& loss : losses) loss -= base_;
    return losses;
  }

  step_side side(zo::index most) {
    return {[this] { prepare(); },
            [this, most](const stratum& part) {
              return static_cast<zo::index>(probe(part, most).size());
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
                                                zo::index most) {
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

outcome errors(zo::index count, const effort& how) {
  const workload what(samples(count, how));
  const std::unique_ptr<peers::torch_resnet> peer =
      what.peer({.lies = peers::layout::channels_last});
  if (!peer) return skip(no_peer);
  expect_the_same_step();
  const zo::index most = sizes_for(count, how).errors;
  const std::vector<stratum> step = sparse_step(what.net, most);
  our_step<double> exact(what, 2);
  our_step<float> ours(what, 1), on_two_threads(what, 2);
  their_step theirs(*peer);
  const auto wanted = differences_of(exact, step, most);
  const auto found = differences_of(ours, step, most);
  if (differences_of(on_two_threads, step, most) != found) {
    throw std::runtime_error("one thread and two give different bits");
  }
  outcome o;
  o.ours = error_of(found, wanted, step);
  o.peer = error_of(differences_of(theirs, step, most), wanted, step);
  o.ratio = o.low = o.high = o.ours / o.peer;
  o.pairs = 1;
  return o;
}

// Measured once for all rows that tell about it; nothing without a peer.
const std::optional<comparison>& step_against_torch(zo::index count, int threads,
                                                    peers::layout lies, const effort& how) {
  static std::map<std::tuple<zo::index, int, peers::layout>, std::optional<comparison>> known;
  const auto [at, is_new] = known.try_emplace({count, threads, lies});
  if (!is_new) return at->second;
  const workload what(samples(count, how));
  const std::unique_ptr<peers::torch_resnet> peer = what.peer({.lies = lies});
  if (!peer) return at->second;
  expect_the_same_step();
  peer->use_threads(threads);
  const sample_sizes sizes = sizes_for(count, how);
  const std::vector<stratum> step = sparse_step(what.net, sizes.ours);
  our_step<float> ours(what, threads);
  their_step theirs(*peer);
  at->second = compare_steps(clock_of(threads), effort_of(how), step, ours.side(sizes.ours),
                             theirs.side(sizes.theirs));
  return at->second;
}

outcome times(zo::index count, int threads, peers::layout lies, const effort& how) {
  if (static_cast<int>(std::thread::hardware_concurrency()) < threads) {
    return skip("needs two processors");
  }
  const std::optional<comparison>& found = step_against_torch(count, threads, lies, how);
  return found ? times_as_fast(*found, 1e9) : skip(no_peer);  // the unit is seconds
}

// Multiplications and additions that a way of making the step cannot avoid, by its time.
outcome speeds(zo::index count, int threads, peers::layout lies, const effort& how) {
  const std::optional<comparison>& found = step_against_torch(count, threads, lies, how);
  if (!found) return skip(no_peer);
  const zo::nn::network net = zo::nn::resnet(20);
  const double each = 2e-9 * static_cast<double>(samples(count, how));
  outcome o = times_as_fast(*found, 1);
  o.ours = each * step_multiplications(net, reuse::channel, borders::skipped) / found->ours;
  o.peer = each * step_multiplications(net, reuse::block, borders::multiplied) / found->theirs;
  const double fewer = o.ours / o.peer / found->ratio;
  o.ratio *= fewer;
  o.low *= fewer;
  o.high *= fewer;
  return o;
}

outcome two_threads(zo::index count, const effort& how) {
  if (std::thread::hardware_concurrency() < 2) return skip("needs two processors");
  const workload what(samples(count, how));
  const sample_sizes sizes = sizes_for(count, how);
  const std::vector<stratum> step = sparse_step(what.net, sizes.ours);
  our_step<float> two(what, 2), one(what, 1);
  return times_as_fast(
      compare_steps(timing::wall, effort_of(how), step, two.side(sizes.ours), one.side(sizes.ours)),
      1e9);
}

}  // namespace

std::vector<claim> step_claims() {
  using peers::layout;
  std::vector<claim> claims;
  for (const zo::index count : {32, 256}) {
    const std::string name =
        "DeepZero step, ResNet-20, 90 % sparse, batch " + std::to_string(count);
    claims.push_back({name + ": error to float64", "LibTorch, channels_last", "of its norm",
                      bar::at_most, 1, [=](const effort& how) { return errors(count, how); }});
    for (const int threads : {1, 2}) {
      const std::string on = name + (threads == 1 ? ", 1 thread" : ", 2 threads");
      claims.push_back(
          {on, "LibTorch, block reuse", "s/step", bar::at_least, 3,
           [=](const effort& how) { return times(count, threads, layout::usual, how); }});
      claims.push_back(
          {on, "the same, channels_last", "s/step", bar::above, 1,
           [=](const effort& how) { return times(count, threads, layout::channels_last, how); }});
    }
    claims.push_back(
        {name + ", 1 thread: arithmetic", "LibTorch, channels_last", "GFLOP/s", bar::none, 0,
         [=](const effort& how) { return speeds(count, 1, layout::channels_last, how); }});
  }
  claims.push_back({"DeepZero step, ResNet-20, 90 % sparse, batch 32, 2 threads", "1 thread",
                    "s/step", bar::none, 0,
                    [](const effort& how) { return two_threads(32, how); }});
  return claims;
}

}  // namespace bench
