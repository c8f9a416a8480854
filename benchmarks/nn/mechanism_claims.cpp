// What each idea saves of a DeepZero step, by multiplications.
#include <stdexcept>
#include <string>

#include "claims.hpp"
#include "multiplications.hpp"
#include "workload.hpp"

namespace bench {
namespace {

// Multiplications of the step in thousands of forward passes.
double passes(reuse how, borders taps) {
  const zo::nn::network net = zo::nn::resnet(20);
  return step_multiplications(net, how, taps) / static_cast<double>(net.multiplications()) / 1000;
}

outcome counted(double ours, double theirs) {
  if (!(ours > 0 && ours <= theirs)) throw std::runtime_error("more multiplications, not fewer");
  outcome o;
  o.ours = ours;
  o.peer = theirs;
  o.ratio = o.low = o.high = theirs / ours;
  return o;
}

claim saving(const std::string& name, const std::string& before, double ours, double theirs) {
  return {"DeepZero step, ResNet-20, 90 % sparse, multiplications: " + name,
          before,
          "1000 passes",
          bar::none,
          0,
          [=](const effort&) { return counted(ours, theirs); }};
}

}  // namespace

std::vector<claim> mechanism_claims() {
  const double none = passes(reuse::none, borders::multiplied),
               block = passes(reuse::block, borders::multiplied),
               layer = passes(reuse::layer, borders::multiplied),
               channel = passes(reuse::channel, borders::multiplied),
               inner = passes(reuse::channel, borders::skipped);
  return {saving("reuse of blocks", "whole passes", block, none),
          saving("reuse of layers", "reuse of blocks", layer, block),
          saving("one-channel probes", "reuse of layers", channel, layer),
          saving("borders skipped", "one-channel probes", inner, channel),
          saving("all of these", "reuse of blocks", inner, block)};
}

}  // namespace bench
