#include "workload.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace bench {

workload::workload(zo::index_t samples) : count(samples) {
  parameters.resize(static_cast<std::size_t>(net.parameter_count()));
  statistics.resize(static_cast<std::size_t>(net.statistic_count()));
  zo::nn::initialize<float>(net, zo::nn::initialization::kaiming_normal, 1, parameters);
  zo::nn::initialize_statistics<float>(net, statistics);
  std::mt19937 random(2);
  std::normal_distribution<float> noise;
  images.resize(static_cast<std::size_t>(count * net.nodes().front().out.size()));
  for (float& x : images) x = noise(random);
  for (zo::index_t b = 0; b < count; ++b) classes.push_back(b % net.output().size());
}

namespace {

// Shares of the weights that layer-wise pruning ratios keep at 90 %; ratios of ZO-GraSP on
// ResNet-20.
double kept(const std::string& tensor) {
  const auto begins = [&](const char* with) { return tensor.starts_with(with); };
  if (!tensor.ends_with(".weight") || tensor.find("bn") != std::string::npos) return 1;
  if (begins("conv1.")) return 0.83;
  if (begins("linear.")) return 0.74;
  if (begins("layer1.")) return 0.51;
  if (begins("layer2.0.conv1.")) return 0.43;
  if (begins("layer2.")) return 0.214;
  if (begins("layer3.0.conv1.")) return 0.127;
  return 0.0258;
}

}  // namespace

std::vector<stratum> sparse_step(const zo::nn::network& net, zo::index_t sampled) {
  std::vector<stratum> step;
  std::mt19937 random(3);
  for (const zo::nn::view& v : net.parameters()) {
    std::vector<zo::index_t> all, chosen;
    for (zo::index_t i = 0; i < v.size; ++i) all.push_back(v.offset + i);
    const auto active =
        static_cast<zo::index_t>(std::llround(kept(v.name) * static_cast<double>(v.size)));
    std::ranges::sample(all, std::back_inserter(chosen), active, random);
    const zo::index_t taken = std::min(sampled, active);
    const auto first =
        chosen.begin() + std::uniform_int_distribution<zo::index_t>(0, active - taken)(random);
    step.push_back({&v, active, {first, first + taken}});
  }
  return step;
}

double step_multiplications(const zo::nn::network& net, reuse how, borders taps) {
  double sum = 0;
  for (const stratum& part : sparse_step(net, 1)) {
    sum += static_cast<double>(part.active) *
           static_cast<double>(multiplications_of(net, *part.tensor, how, taps));
  }
  return sum;
}

}  // namespace bench
