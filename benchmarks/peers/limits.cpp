#include "limits.hpp"

#include <algorithm>

namespace peers {

namespace {

typedef float pack_of_16 __attribute__((vector_size(64)));
typedef float pack_of_8 __attribute__((vector_size(32)));
typedef float pack_of_4 __attribute__((vector_size(16)));

// Enough chains to hide the latency, and few enough that they stay in 16 registers with both
// operands.
template <class Pack>
[[gnu::always_inline]] inline std::int64_t multiply_adds(std::int64_t rounds, float* keep_alive) {
  constexpr int chains = multiply_adds_of_round;
  Pack sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = Pack{} + static_cast<float>(c);  // no two alike
  const Pack factor = Pack{} + *keep_alive, term = factor * 0.5f;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (Pack& sum : sums) sum = sum * factor + term;
  }
  for (const Pack& sum : sums) *keep_alive += sum[0] * 1e-30f;
  return rounds * chains * static_cast<std::int64_t>(sizeof(Pack) / sizeof(float));
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] std::int64_t avx512(std::int64_t rounds, float* keep_alive) {
  return multiply_adds<pack_of_16>(rounds, keep_alive);
}
[[gnu::target("avx2,fma")]] std::int64_t avx2(std::int64_t rounds, float* keep_alive) {
  return multiply_adds<pack_of_8>(rounds, keep_alive);
}
#endif

}  // namespace

std::int64_t multiply_adds(std::string_view set, std::int64_t rounds, float* keep_alive) {
#if defined(__x86_64__)
  if (set == "avx512") return avx512(rounds, keep_alive);
  if (set == "avx2") return avx2(rounds, keep_alive);
#endif
  return multiply_adds<pack_of_4>(rounds, keep_alive);
}

bool spend_cycles(std::int64_t count) {
  constexpr std::int64_t at_once = 64;  // beside which the loop costs nothing
  std::uint64_t sum = 1;
  const std::uint64_t one = 1;
  for (std::int64_t k = 0; k < count; k += at_once) {
#if defined(__x86_64__)
    asm volatile(".rept 64\n\tadd %1, %0\n\t.endr" : "+r"(sum) : "r"(one) : "cc");
#elif defined(__aarch64__)
    asm volatile(".rept 64\n\tadd %0, %0, %1\n\t.endr" : "+r"(sum) : "r"(one));
#else
    static_cast<void>(one);
    return false;
#endif
  }
  return sum != 0;
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
