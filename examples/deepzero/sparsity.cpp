#include "sparsity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <zo/coordinate.hpp>

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
