// AVX-512 (F and DQ): registers of 16 floats or 8 doubles.
#pragma once

#include <immintrin.h>

#include "simd/pack.hpp"

namespace zo::detail {
namespace {

inline constexpr int registers = 32;

// Lanes 0 … count-1, for any count, also below 0 or above 16.
inline __mmask16 first_lanes(index_t count) {
  const index_t kept = count < 0 ? 0 : count < 16 ? count : 16;
  return static_cast<__mmask16>((1u << kept) - 1u);
}

template <>
struct part<float> {
  static constexpr int width = 16;
  __m512 v;
  part() = default;
  part(__m512 a) : v(a) {}
  explicit part(float a) : v(_mm512_set1_ps(a)) {}
  static part load(const float* p) { return _mm512_loadu_ps(p); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  static part load_first(const float* p, index_t count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
  }
  void store_first(float* p, index_t count) const {
    _mm512_mask_storeu_ps(p, first_lanes(count), v);
  }
};
inline part<float> operator+(part<float> a, part<float> b) { return _mm512_add_ps(a.v, b.v); }
inline part<float> operator-(part<float> a, part<float> b) { return _mm512_sub_ps(a.v, b.v); }
inline part<float> operator*(part<float> a, part<float> b) { return _mm512_mul_ps(a.v, b.v); }
inline part<float> fused(part<float> a, part<float> b, part<float> c) {
  return _mm512_fmadd_ps(a.v, b.v, c.v);
}
inline part<float> root(part<float> a) { return _mm512_sqrt_ps(a.v); }

template <>
struct part<double> {
  static constexpr int width = 8;
  __m512d v;
  part() = default;
  part(__m512d a) : v(a) {}
  explicit part(double a) : v(_mm512_set1_pd(a)) {}
  static part load(const double* p) { return _mm512_loadu_pd(p); }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  static part load_first(const double* p, index_t count) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(count)), p);
  }
  void store_first(double* p, index_t count) const {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first_lanes(count)), v);
  }
};
inline part<double> operator+(part<double> a, part<double> b) { return _mm512_add_pd(a.v, b.v); }
inline part<double> operator-(part<double> a, part<double> b) { return _mm512_sub_pd(a.v, b.v); }
inline part<double> fused(part<double> a, part<double> b, part<double> c) {
  return _mm512_fmadd_pd(a.v, b.v, c.v);
}

struct pack_u32 {
  __m512i v;
  pack_u32() = default;
  pack_u32(__m512i a) : v(a) {}
  explicit pack_u32(std::uint32_t a) : v(_mm512_set1_epi32(static_cast<int>(a))) {}
};
inline pack_u32 operator^(pack_u32 a, pack_u32 b) { return _mm512_xor_si512(a.v, b.v); }
inline pack_u32 operator&(pack_u32 a, pack_u32 b) { return _mm512_and_si512(a.v, b.v); }
inline pack_u32 operator-(pack_u32 a, pack_u32 b) { return _mm512_sub_epi32(a.v, b.v); }
inline pack_u32 operator<<(pack_u32 a, int n) {
  return _mm512_slli_epi32(a.v, static_cast<unsigned>(n));
}
inline pack_u32 operator>>(pack_u32 a, int n) {
  return _mm512_srli_epi32(a.v, static_cast<unsigned>(n));
}
inline pack_u32 shift_right_signed(pack_u32 a, int n) {
  return _mm512_srai_epi32(a.v, static_cast<unsigned>(n));
}
inline part<float> float_from_signed(pack_u32 a) { return _mm512_cvtepi32_ps(a.v); }
inline pack_u32 bits_of(part<float> a) { return _mm512_castps_si512(a.v); }
inline part<float> float_of_bits(pack_u32 a) { return _mm512_castsi512_ps(a.v); }

// The 32-bit words lie in the low halves of 64-bit lanes, even and odd counters apart: the
// 32x32-bit product then needs no shuffles, and the high halves may hold anything.
struct pack_word {
  __m512i even, odd;
};
inline __m512i broadcast64(std::uint32_t a) { return _mm512_set1_epi64(static_cast<long long>(a)); }
inline void multiply_wide(std::uint32_t factor, pack_word x, pack_word& high, pack_word& low) {
  const __m512i f = broadcast64(factor);
  low = {_mm512_mul_epu32(x.even, f), _mm512_mul_epu32(x.odd, f)};
  high = {_mm512_srli_epi64(low.even, 32), _mm512_srli_epi64(low.odd, 32)};
}
inline pack_word xor3(pack_word a, pack_word b, std::uint32_t key) {
  const __m512i k = broadcast64(key);
  return {_mm512_ternarylogic_epi64(a.even, b.even, k, 0x96),
          _mm512_ternarylogic_epi64(a.odd, b.odd, k, 0x96)};
}

// The two halves of a pack in double: its lanes 0-7 and 8-15.
inline part<double> low_half(part<float> a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a.v)); }
inline part<double> high_half(part<float> a) {
  const __m512d halves = _mm512_castps_pd(a.v);
  return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(halves, 1)));
}

// w with the sign that the top bit of each word says; of doubles, those of one half of a pack.
inline part<float> with_signs(part<float> w, pack_u32 word) {
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(word.v, _mm512_set1_epi32(INT32_MIN),
                                                       _mm512_castps_si512(w.v), 0x6A));
}
inline part<double> with_signs(part<double> w, __mmask8 negative) {
  return _mm512_mask_blend_pd(negative, w.v, _mm512_xor_pd(w.v, _mm512_set1_pd(-0.0)));
}
inline part<double> with_signs_low(part<double> w, pack_u32 word) {
  return with_signs(w, static_cast<__mmask8>(_mm512_movepi32_mask(word.v)));
}
inline part<double> with_signs_high(part<double> w, pack_u32 word) {
  return with_signs(w, static_cast<__mmask8>(_mm512_movepi32_mask(word.v) >> 8));
}

struct pack {
  static constexpr int lanes = 16;
  using word = pack_word;
  using u32 = pack_u32;
  using f32 = part<float>;

  static word counters(std::uint32_t first) {
    const __m512i base = broadcast64(first);
    return {_mm512_add_epi32(base, _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0)),
            _mm512_add_epi32(base, _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1))};
  }
  static word broadcast(std::uint32_t a) { return {broadcast64(a), broadcast64(a)}; }
  static u32 merge(word a) {
    return _mm512_mask_blend_epi32(0xAAAA, a.even, _mm512_slli_epi64(a.odd, 32));
  }
  // Zero in all but the first `count` lanes.
  static f32 first(f32 a, index_t count) { return _mm512_maskz_mov_ps(first_lanes(count), a.v); }
};

}  // namespace
}  // namespace zo::detail

#include "simd/row.hpp"
