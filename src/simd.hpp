// SIMD packs: the operations of zo/direction.hpp on 16, 8 or 1 lanes. Everything lives in an
// unnamed namespace, because each instruction set compiles its own copy and the linker must not mix
// them.
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "zo/config.hpp"

namespace zo::detail {
namespace {

#if defined(ZO_PACK_AVX512)

// A word pack keeps its 32-bit words in the low halves of 64-bit lanes, even and odd counters
// apart: the 32x32-bit product then needs no shuffles, and the high halves may hold anything.
struct pack_word {
  __m512i even, odd;
};
struct pack_u32 {
  __m512i v;
  pack_u32(__m512i a) : v(a) {}
  pack_u32() = default;
  explicit pack_u32(std::uint32_t a) : v(_mm512_set1_epi32(static_cast<int>(a))) {}
};
struct pack_f32 {
  __m512 v;
  pack_f32() = default;
  pack_f32(__m512 a) : v(a) {}
  explicit pack_f32(float a) : v(_mm512_set1_ps(a)) {}
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
inline pack_f32 operator+(pack_f32 a, pack_f32 b) { return _mm512_add_ps(a.v, b.v); }
inline pack_f32 operator*(pack_f32 a, pack_f32 b) { return _mm512_mul_ps(a.v, b.v); }
inline pack_f32 fused(pack_f32 a, pack_f32 b, pack_f32 c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
inline pack_f32 root(pack_f32 a) { return _mm512_sqrt_ps(a.v); }
inline pack_f32 float_from_signed(pack_u32 a) { return _mm512_cvtepi32_ps(a.v); }
inline pack_u32 bits_of(pack_f32 a) { return _mm512_castps_si512(a.v); }
inline pack_f32 float_of_bits(pack_u32 a) { return _mm512_castsi512_ps(a.v); }

struct pack {
  static constexpr int lanes = 16;
  using word = pack_word;
  using u32 = pack_u32;
  using f32 = pack_f32;

  static word counters(std::uint32_t first) {
    const __m512i base = broadcast64(first);
    return {_mm512_add_epi32(base, _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0)),
            _mm512_add_epi32(base, _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1))};
  }
  static word broadcast(std::uint32_t a) { return {broadcast64(a), broadcast64(a)}; }
  static u32 merge(word a) {
    return _mm512_mask_blend_epi32(0xAAAA, a.even, _mm512_slli_epi64(a.odd, 32));
  }
  // Lanes 0 … count-1, for any count, also below 0 or above 16.
  static __mmask16 first_lanes(index_t count) {
    const index_t kept = count < 0 ? 0 : count < lanes ? count : lanes;
    return static_cast<__mmask16>((1u << kept) - 1u);
  }
  // Zero in all but the first `count` lanes.
  static f32 first(f32 a, index_t count) { return _mm512_maskz_mov_ps(first_lanes(count), a.v); }

  // Vectors of the caller's scalar type: multiply-add of 16 consecutive elements.
  template <class T>
  struct row;
};
template <>
struct pack::row<float> {
  __m512 v;
  static row load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  // Of the memory at p, only the first `count` elements exist.
  static row load_first(const float* p, index_t count) {
    return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
  }
  void store_first(float* p, index_t count) const {
    _mm512_mask_storeu_ps(p, first_lanes(count), v);
  }
  row fma(float w, pack_f32 n) const { return {_mm512_fmadd_ps(_mm512_set1_ps(w), n.v, v)}; }
  // Adds w with the sign that the top bit of each word says.
  row add_signed(float w, pack_u32 word) const {
    const __m512i s = _mm512_ternarylogic_epi32(word.v, _mm512_set1_epi32(INT32_MIN),
                                                _mm512_castps_si512(_mm512_set1_ps(w)), 0x6A);
    return {_mm512_add_ps(v, _mm512_castsi512_ps(s))};
  }
};
template <>
struct pack::row<double> {
  __m512d a, b;
  static row load(const double* p) { return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)}; }
  void store(double* p) const {
    _mm512_storeu_pd(p, a);
    _mm512_storeu_pd(p + 8, b);
  }
  static row load_first(const double* p, index_t count) {
    const __mmask16 some = first_lanes(count);
    return {_mm512_maskz_loadu_pd(static_cast<__mmask8>(some), p),
            _mm512_maskz_loadu_pd(static_cast<__mmask8>(some >> 8), p + 8)};
  }
  void store_first(double* p, index_t count) const {
    const __mmask16 some = first_lanes(count);
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(some), a);
    _mm512_mask_storeu_pd(p + 8, static_cast<__mmask8>(some >> 8), b);
  }
  static row zero() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
  static row widen(pack_f32 n) {
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(n.v), 1));
    return {_mm512_cvtps_pd(_mm512_castps512_ps256(n.v)), _mm512_cvtps_pd(upper)};
  }
  row fma(double w, pack_f32 n) const {
    const __m512d f = _mm512_set1_pd(w);
    const row wide = widen(n);
    return {_mm512_fmadd_pd(f, wide.a, a), _mm512_fmadd_pd(f, wide.b, b)};
  }
  row add_square(pack_f32 n) const {
    const row wide = widen(n);
    return {_mm512_fmadd_pd(wide.a, wide.a, a), _mm512_fmadd_pd(wide.b, wide.b, b)};
  }
  row add_signed(double w, pack_u32 word) const {
    const __mmask16 negative = _mm512_movepi32_mask(word.v);
    const __m512d plus = _mm512_set1_pd(w), minus = _mm512_set1_pd(-w);
    return {
        _mm512_add_pd(a, _mm512_mask_blend_pd(static_cast<__mmask8>(negative), plus, minus)),
        _mm512_add_pd(b, _mm512_mask_blend_pd(static_cast<__mmask8>(negative >> 8), plus, minus))};
  }
};

#elif defined(ZO_PACK_AVX2)

struct pack_word {
  __m256i even, odd;
};
struct pack_u32 {
  __m256i v;
  pack_u32(__m256i a) : v(a) {}
  pack_u32() = default;
  explicit pack_u32(std::uint32_t a) : v(_mm256_set1_epi32(static_cast<int>(a))) {}
};
struct pack_f32 {
  __m256 v;
  pack_f32() = default;
  pack_f32(__m256 a) : v(a) {}
  explicit pack_f32(float a) : v(_mm256_set1_ps(a)) {}
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

inline pack_u32 operator^(pack_u32 a, pack_u32 b) { return _mm256_xor_si256(a.v, b.v); }
inline pack_u32 operator&(pack_u32 a, pack_u32 b) { return _mm256_and_si256(a.v, b.v); }
inline pack_u32 operator-(pack_u32 a, pack_u32 b) { return _mm256_sub_epi32(a.v, b.v); }
inline pack_u32 operator<<(pack_u32 a, int n) { return _mm256_slli_epi32(a.v, n); }
inline pack_u32 operator>>(pack_u32 a, int n) { return _mm256_srli_epi32(a.v, n); }
inline pack_u32 shift_right_signed(pack_u32 a, int n) { return _mm256_srai_epi32(a.v, n); }
inline pack_f32 operator+(pack_f32 a, pack_f32 b) { return _mm256_add_ps(a.v, b.v); }
inline pack_f32 operator*(pack_f32 a, pack_f32 b) { return _mm256_mul_ps(a.v, b.v); }
inline pack_f32 fused(pack_f32 a, pack_f32 b, pack_f32 c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
inline pack_f32 root(pack_f32 a) { return _mm256_sqrt_ps(a.v); }
inline pack_f32 float_from_signed(pack_u32 a) { return _mm256_cvtepi32_ps(a.v); }
inline pack_u32 bits_of(pack_f32 a) { return _mm256_castps_si256(a.v); }
inline pack_f32 float_of_bits(pack_u32 a) { return _mm256_castsi256_ps(a.v); }

struct pack {
  static constexpr int lanes = 8;
  using word = pack_word;
  using u32 = pack_u32;
  using f32 = pack_f32;

  static word counters(std::uint32_t first) {
    const __m256i base = broadcast64(first);
    return {_mm256_add_epi32(base, _mm256_set_epi64x(6, 4, 2, 0)),
            _mm256_add_epi32(base, _mm256_set_epi64x(7, 5, 3, 1))};
  }
  static word broadcast(std::uint32_t a) { return {broadcast64(a), broadcast64(a)}; }
  static u32 merge(word a) {
    return _mm256_blend_epi32(a.even, _mm256_slli_epi64(a.odd, 32), 0xAA);
  }
  // All bits set in lanes 0 … count-1, for any count, also below 0 or above 8.
  static __m256i first_lanes(index_t count) {
    const int kept = count < 0 ? 0 : count < lanes ? static_cast<int>(count) : lanes;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(kept), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static f32 first(f32 a, index_t count) {
    return _mm256_and_ps(a.v, _mm256_castsi256_ps(first_lanes(count)));
  }

  template <class T>
  struct row;
};
template <>
struct pack::row<float> {
  __m256 v;
  static row load(const float* p) { return {_mm256_loadu_ps(p)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  static row load_first(const float* p, index_t count) {
    return {_mm256_maskload_ps(p, first_lanes(count))};
  }
  void store_first(float* p, index_t count) const { _mm256_maskstore_ps(p, first_lanes(count), v); }
  row fma(float w, pack_f32 n) const { return {_mm256_fmadd_ps(_mm256_set1_ps(w), n.v, v)}; }
  row add_signed(float w, pack_u32 word) const {
    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(word.v), _mm256_set1_ps(-0.0f));
    return {_mm256_add_ps(v, _mm256_xor_ps(sign, _mm256_set1_ps(w)))};
  }
};
template <>
struct pack::row<double> {
  __m256d a, b;
  static row load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
  void store(double* p) const {
    _mm256_storeu_pd(p, a);
    _mm256_storeu_pd(p + 4, b);
  }
  static row load_first(const double* p, index_t count) {
    return {_mm256_maskload_pd(p, wide_lanes(count)),
            _mm256_maskload_pd(p + 4, wide_lanes(count - 4))};
  }
  void store_first(double* p, index_t count) const {
    _mm256_maskstore_pd(p, wide_lanes(count), a);
    _mm256_maskstore_pd(p + 4, wide_lanes(count - 4), b);
  }
  static __m256i wide_lanes(index_t count) {
    return _mm256_cvtepi32_epi64(_mm256_castsi256_si128(first_lanes(count)));
  }
  static row zero() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  static row widen(pack_f32 n) {
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(n.v)),
            _mm256_cvtps_pd(_mm256_extractf128_ps(n.v, 1))};
  }
  row fma(double w, pack_f32 n) const {
    const __m256d f = _mm256_set1_pd(w);
    const row wide = widen(n);
    return {_mm256_fmadd_pd(f, wide.a, a), _mm256_fmadd_pd(f, wide.b, b)};
  }
  row add_square(pack_f32 n) const {
    const row wide = widen(n);
    return {_mm256_fmadd_pd(wide.a, wide.a, a), _mm256_fmadd_pd(wide.b, wide.b, b)};
  }
  row add_signed(double w, pack_u32 word) const {
    return {add_half(a, w, _mm256_castsi256_si128(word.v)),
            add_half(b, w, _mm256_extracti128_si256(word.v, 1))};
  }
  static __m256d add_half(__m256d value, double w, __m128i word) {
    const __m256i wide = _mm256_slli_epi64(_mm256_cvtepu32_epi64(word), 32);
    const __m256d sign = _mm256_and_pd(_mm256_castsi256_pd(wide), _mm256_set1_pd(-0.0));
    return _mm256_add_pd(value, _mm256_xor_pd(sign, _mm256_set1_pd(w)));
  }
};

#else  // one lane: any machine, the scalar operations of zo/direction.hpp

struct pack {
  static constexpr int lanes = 1;
  using word = std::uint32_t;
  using u32 = std::uint32_t;
  using f32 = float;

  static word counters(std::uint32_t first) { return first; }
  static word broadcast(std::uint32_t a) { return a; }
  static u32 merge(word a) { return a; }
  static f32 first(f32 a, index_t count) { return count > 0 ? a : 0.0f; }

  template <class T>
  struct row {
    T v;
    static row load(const T* p) { return {*p}; }
    void store(T* p) const { *p = v; }
    static row load_first(const T* p, index_t count) { return {count > 0 ? *p : T(0)}; }
    void store_first(T* p, index_t count) const {
      if (count > 0) *p = v;
    }
    row fma(T w, float n) const {
      if constexpr (sizeof(T) == sizeof(float)) {
        return {__builtin_fmaf(w, n, v)};
      } else {
        return {__builtin_fma(w, static_cast<double>(n), v)};
      }
    }
    static row zero() { return {T(0)}; }
    row add_square(float n) const { return {v + static_cast<T>(n) * static_cast<T>(n)}; }
    row add_signed(T w, std::uint32_t word) const { return {v + ((word >> 31) != 0 ? -w : w)}; }
  };
};

#endif

}  // namespace
}  // namespace zo::detail
