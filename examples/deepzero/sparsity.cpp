#include "sparsity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <zo/coordinate.hpp>
#include <zo/nn/objective.hpp>

namespace deepzero {

bool is_prunable(const zo::nn::view& parameter) { return parameter.dims.size() > 1; }

std::vector<zo::index_t> layer_counts(const zo::nn::network& net, std::span<const double> scores,
                                      double sparsity) {
  std::vector<zo::index_t> ranked;
  for (const zo::nn::view& v : net.parameters()) {
    if (!is_prunable(v)) continue;
    for (zo::index_t i = v.offset; i < v.offset + v.size; ++i) ranked.push_back(i);
  }
  const auto kept = std::lround((1 - sparsity) * static_cast<double>(ranked.size()));
  std::ranges::sort(ranked, [&](zo::index_t a, zo::index_t b) {
    const double score_a = scores[static_cast<std::size_t>(a)];
    const double score_b = scores[static_cast<std::size_t>(b)];
    return score_a != score_b ? score_a < score_b : a < b;
  });
  ranked.resize(static_cast<std::size_t>(kept));
  std::vector<zo::index_t> counts;
  for (const zo::nn::view& v : net.parameters()) {
    const zo::index_t remaining = std::ranges::count_if(
        ranked, [&](zo::index_t i) { return i >= v.offset && i < v.offset + v.size; });
    counts.push_back(is_prunable(v) ? std::max<zo::index_t>(1, remaining) : v.size);
  }
  return counts;
}

std::vector<zo::index_t> counts_by_cost(const zo::nn::network& net, double share) {
  const std::vector<float> statistics(static_cast<std::size_t>(net.statistic_count()));
  const zo::nn::objective<float> told(
      net, [](zo::sample_id) -> zo::nn::minibatch<float> { throw std::logic_error("no batch"); },
      std::span<const float>(statistics));
  std::vector<double> costs;
  double all = 0, most = 0;
  for (const zo::nn::view& v : net.parameters()) {
    costs.push_back(told.cost(v.offset));
    all += costs.back() * static_cast<double>(v.size);
    most = std::max(most, std::sqrt(costs.back()));
  }
  const auto part_of = [](double factor, double cost) {
    return std::min(1.0, factor / std::sqrt(cost));
  };
  double low = 0, high = most;  // at which nothing is left out
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = (low + high) / 2;
    double cost = 0;
    for (std::size_t k = 0; k < costs.size(); ++k) {
      cost += part_of(middle, costs[k]) * costs[k] * static_cast<double>(net.parameters()[k].size);
    }
    (cost < share * all ? low : high) = middle;
  }
  std::vector<zo::index_t> counts;
  for (std::size_t k = 0; k < costs.size(); ++k) {
    const auto size = static_cast<double>(net.parameters()[k].size);
    counts.push_back(std::max<zo::index_t>(1, std::llround(part_of(high, costs[k]) * size)));
  }
  return counts;
}

std::vector<zo::index_t> coordinate_set(const zo::nn::network& net,
                                        std::span<const zo::index_t> counts, std::uint64_t seed,
                                        std::uint64_t number) {
  std::vector<zo::index_t> all;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const zo::nn::view& v = net.parameters()[k];
    const zo::stream from{seed, number, static_cast<std::uint32_t>(k), zo::purpose::coordinates};
    for (const zo::index_t i : zo::random_subset(v.size, counts[k], from)) {
      all.push_back(v.offset + i);
    }
  }
  return all;
}

}  // namespace deepzero
