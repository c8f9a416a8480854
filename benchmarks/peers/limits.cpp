#include "limits.hpp"

#include <algorithm>

namespace peers {

std::int64_t multiply_adds(std::int64_t rounds, float* keep_alive) {
  constexpr int lanes = 16, chains = 12;  // enough chains to hide the latency
  typedef float pack __attribute__((vector_size(lanes * sizeof(float))));
  pack sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = pack{} + static_cast<float>(c);  // no two alike
  const pack factor = pack{} + *keep_alive, term = factor * 0.5f;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (pack& sum : sums) sum = sum * factor + term;
  }
  for (const pack& sum : sums) *keep_alive += sum[0] * 1e-30f;
  return rounds * lanes * chains;
}

void stored_product(const float* directions, std::int64_t q, std::int64_t d, const float* weights,
                    float* g) {
  constexpr std::int64_t block = 2048;  // stays in the first-level cache over all directions
  for (std::int64_t at = 0; at < d; at += block) {
    const std::int64_t end = std::min(at + block, d);
    std::fill(g + at, g + end, 0.0f);
    for (std::int64_t k = 0; k < q; ++k) {
      const float weight = weights[k];
      const float* const u = directions + k * d;
      for (std::int64_t i = at; i < end; ++i) g[i] += weight * u[i];
    }
  }
}

}  // namespace peers
