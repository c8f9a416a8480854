// AVX2 and FMA: registers of 8 floats or 4 doubles.
#pragma once

#include <immintrin.h>

#include "simd/pack.hpp"

namespace zo::detail {
namespace {

inline constexpr int registers = 16;

// All bits set in lanes 0 … count-1, for any count, also below 0 or above 8.
inline __m256i first_lanes(index_t count) {
  const int kept = count < 0 ? 0 : count < 8 ? static_cast<int>(count) : 8;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(kept), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first_wide_lanes(index_t count) {
  return _mm256_cvtepi32_epi64(_mm256_castsi256_si128(first_lanes(count)));
}

template <>
struct part<float> {
  static constexpr int width = 8;
  __m256 v;
  part() = default;
  part(__m256 a) : v(a) {}
  explicit part(float a) : v(_mm256_set1_ps(a)) {}
  static part load(const float* p) { return _mm256_loadu_ps(p); }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  static part load_first(const float* p, index_t count) {
    return _mm256_maskload_ps(p, first_lanes(count));
  }
  void store_first(float* p, index_t count) const { _mm256_maskstore_ps(p, first_lanes(count), v); }
};
inline part<float> operator+(part<float> a, part<float> b) { return _mm256_add_ps(a.v, b.v); }
inline part<float> operator-(part<float> a, part<float> b) { return _mm256_sub_ps(a.v, b.v); }
inline part<float> operator*(part<float> a, part<float> b) { return _mm256_mul_ps(a.v, b.v); }
inline part<float> fused(part<float> a, part<float> b, part<float> c) {
  return _mm256_fmadd_ps(a.v, b.v, c.v);
}
inline part<float> root(part<float> a) { return _mm256_sqrt_ps(a.v); }

template <>
struct part<double> {
  static constexpr int width = 4;
  __m256d v;
  part() = default;
  part(__m256d a) : v(a) {}
  explicit part(double a) : v(_mm256_set1_pd(a)) {}
  static part load(const double* p) { return _mm256_loadu_pd(p); }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
  static part load_first(const double* p, index_t count) {
    return _mm256_maskload_pd(p, first_wide_lanes(count));
  }
  void store_first(double* p, index_t count) const {
    _mm256_maskstore_pd(p, first_wide_lanes(count), v);
  }
};
inline part<double> operator+(part<double> a, part<double> b) { return _mm256_add_pd(a.v, b.v); }
inline part<double> operator-(part<double> a, part<double> b) { return _mm256_sub_pd(a.v, b.v); }
inline part<double> fused(part<double> a, part<double> b, part<double> c) {
  return _mm256_fmadd_pd(a.v, b.v, c.v);
}

struct pack_u32 {
  __m256i v;
  pack_u32() = default;
  pack_u32(__m256i a) : v(a) {}
  explicit pack_u32(std::uint32_t a) : v(_mm256_set1_epi32(static_cast<int>(a))) {}
};
inline pack_u32 operator^(pack_u32 a, pack_u32 b) { return _mm256_xor_si256(a.v, b.v); }
inline pack_u32 operator&(pack_u32 a, pack_u32 b) { return _mm256_and_si256(a.v, b.v); }
inline pack_u32 operator-(pack_u32 a, pack_u32 b) { return _mm256_sub_epi32(a.v, b.v); }
inline pack_u32 operator<<(pack_u32 a, int n) { return _mm256_slli_epi32(a.v, n); }
inline pack_u32 operator>>(pack_u32 a, int n) { return _mm256_srli_epi32(a.v, n); }
inline pack_u32 shift_right_signed(pack_u32 a, int n) { return _mm256_srai_epi32(a.v, n); }
inline part<float> float_from_signed(pack_u32 a) { return _mm256_cvtepi32_ps(a.v); }
inline pack_u32 bits_of(part<float> a) { return _mm256_castps_si256(a.v); }
inline part<float> float_of_bits(pack_u32 a) { return _mm256_castsi256_ps(a.v); }

// As those of AVX-512.
struct pack_word {
  __m256i even, odd;
};
inline __m256i broadcast64(std::uint32_t a) {
  return _mm256_set1_epi64x(static_cast<long long>(a));
}
inline void multiply_wide(std::uint32_t factor, pack_word x, pack_word& high, pack_word& low) {
  const __m256i f = broadcast64(factor);
  low = {_mm256_mul_epu32(x.even, f), _mm256_mul_epu32(x.odd, f)};
  high = {_mm256_srli_epi64(low.even, 32), _mm256_srli_epi64(low.odd, 32)};
}
inline pack_word xor3(pack_word a, pack_word b, std::uint32_t key) {
  const __m256i k = broadcast64(key);
  return {_mm256_xor_si256(_mm256_xor_si256(a.even, b.even), k),
          _mm256_xor_si256(_mm256_xor_si256(a.odd, b.odd), k)};
}

// The two halves of a pack in double.
inline part<double> low_half(part<float> a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a.v)); }
inline part<double> high_half(part<float> a) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1));
}

// w with the sign that the top bit of each word says; of doubles, those of one half of a pack.
inline part<float> with_signs(part<float> w, pack_u32 word) {
  const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(word.v), _mm256_set1_ps(-0.0f));
  return _mm256_xor_ps(sign, w.v);
}
inline part<double> with_signs(part<double> w, __m128i word) {
  const __m256i wide = _mm256_slli_epi64(_mm256_cvtepu32_epi64(word), 32);
  const __m256d sign = _mm256_and_pd(_mm256_castsi256_pd(wide), _mm256_set1_pd(-0.0));
  return _mm256_xor_pd(sign, w.v);
}
inline part<double> with_signs_low(part<double> w, pack_u32 word) {
  return with_signs(w, _mm256_castsi256_si128(word.v));
}
inline part<double> with_signs_high(part<double> w, pack_u32 word) {
  return with_signs(w, _mm256_extracti128_si256(word.v, 1));
}

struct pack {
  static constexpr int lanes = 8;
  using word = pack_word;
  using u32 = pack_u32;
  using f32 = part<float>;

  static word counters(std::uint32_t first) {
    const __m256i base = broadcast64(first);
    return {_mm256_add_epi32(base, _mm256_set_epi64x(6, 4, 2, 0)),
            _mm256_add_epi32(base, _mm256_set_epi64x(7, 5, 3, 1))};
  }
  static word broadcast(std::uint32_t a) { return {broadcast64(a), broadcast64(a)}; }
  static u32 merge(word a) {
    return _mm256_blend_epi32(a.even, _mm256_slli_epi64(a.odd, 32), 0xAA);
  }
  static f32 first(f32 a, index_t count) {
    return _mm256_and_ps(a.v, _mm256_castsi256_ps(first_lanes(count)));
  }
};

}  // namespace
}  // namespace zo::detail

#include "simd/row.hpp"
