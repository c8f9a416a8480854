// NEON of 64-bit ARM: registers of 4 floats or 2 doubles.
#pragma once

#include <arm_neon.h>

#include "simd/pack.hpp"

namespace zo::detail {
namespace {

inline constexpr int registers = 32;

// There are no masked loads and stores: the ends of arrays are copied number by number.
template <int Width, class T>
inline void copy_first(const T* from, index_t count, T* to) {
  for (index_t i = 0; i < Width && i < count; ++i) to[i] = from[i];
}

template <>
struct part<float> {
  static constexpr int width = 4;
  float32x4_t v;
  part() = default;
  part(float32x4_t a) : v(a) {}
  explicit part(float a) : v(vdupq_n_f32(a)) {}
  static part load(const float* p) { return vld1q_f32(p); }
  void store(float* p) const { vst1q_f32(p, v); }
  static part load_first(const float* p, index_t count) {
    float some[width] = {};
    copy_first<width>(p, count, some);
    return load(some);
  }
  void store_first(float* p, index_t count) const {
    float all[width];
    store(all);
    copy_first<width>(all, count, p);
  }
};
inline part<float> operator+(part<float> a, part<float> b) { return vaddq_f32(a.v, b.v); }
inline part<float> operator-(part<float> a, part<float> b) { return vsubq_f32(a.v, b.v); }
inline part<float> operator*(part<float> a, part<float> b) { return vmulq_f32(a.v, b.v); }
inline part<float> fused(part<float> a, part<float> b, part<float> c) {
  return vfmaq_f32(c.v, a.v, b.v);
}
inline part<float> root(part<float> a) { return vsqrtq_f32(a.v); }

template <>
struct part<double> {
  static constexpr int width = 2;
  float64x2_t v;
  part() = default;
  part(float64x2_t a) : v(a) {}
  explicit part(double a) : v(vdupq_n_f64(a)) {}
  static part load(const double* p) { return vld1q_f64(p); }
  void store(double* p) const { vst1q_f64(p, v); }
  static part load_first(const double* p, index_t count) {
    double some[width] = {};
    copy_first<width>(p, count, some);
    return load(some);
  }
  void store_first(double* p, index_t count) const {
    double all[width];
    store(all);
    copy_first<width>(all, count, p);
  }
};
inline part<double> operator+(part<double> a, part<double> b) { return vaddq_f64(a.v, b.v); }
inline part<double> operator-(part<double> a, part<double> b) { return vsubq_f64(a.v, b.v); }
inline part<double> fused(part<double> a, part<double> b, part<double> c) {
  return vfmaq_f64(c.v, a.v, b.v);
}

struct pack_u32 {
  uint32x4_t v;
  pack_u32() = default;
  pack_u32(uint32x4_t a) : v(a) {}
  explicit pack_u32(std::uint32_t a) : v(vdupq_n_u32(a)) {}
};
inline pack_u32 operator^(pack_u32 a, pack_u32 b) { return veorq_u32(a.v, b.v); }
inline pack_u32 operator&(pack_u32 a, pack_u32 b) { return vandq_u32(a.v, b.v); }
inline pack_u32 operator-(pack_u32 a, pack_u32 b) { return vsubq_u32(a.v, b.v); }
inline pack_u32 operator<<(pack_u32 a, int n) { return vshlq_u32(a.v, vdupq_n_s32(n)); }
inline pack_u32 operator>>(pack_u32 a, int n) { return vshlq_u32(a.v, vdupq_n_s32(-n)); }
inline pack_u32 shift_right_signed(pack_u32 a, int n) {
  return vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a.v), vdupq_n_s32(-n)));
}
inline part<float> float_from_signed(pack_u32 a) {
  return vcvtq_f32_s32(vreinterpretq_s32_u32(a.v));
}
inline pack_u32 bits_of(part<float> a) { return vreinterpretq_u32_f32(a.v); }
inline part<float> float_of_bits(pack_u32 a) { return vreinterpretq_f32_u32(a.v); }

inline void multiply_wide(std::uint32_t factor, pack_u32 x, pack_u32& high, pack_u32& low) {
  const uint32x4_t f = vdupq_n_u32(factor);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x.v), vget_low_u32(f)));
  const uint32x4_t last = vreinterpretq_u32_u64(vmull_high_u32(x.v, f));
  low = vuzp1q_u32(first, last);
  high = vuzp2q_u32(first, last);
}
inline pack_u32 xor3(pack_u32 a, pack_u32 b, std::uint32_t key) { return a ^ b ^ pack_u32(key); }

// The two halves of a pack in double.
inline part<double> low_half(part<float> a) { return vcvt_f64_f32(vget_low_f32(a.v)); }
inline part<double> high_half(part<float> a) { return vcvt_high_f64_f32(a.v); }

// w with the sign that the top bit of each word says; of doubles, those of one half of a pack.
inline part<float> with_signs(part<float> w, pack_u32 word) {
  return float_of_bits(bits_of(w) ^ (word & pack_u32(0x80000000u)));
}
inline part<double> with_signs(part<double> w, uint32x2_t word) {
  const uint32x2_t top = vand_u32(word, vdup_n_u32(0x80000000u));
  const uint64x2_t sign = vshlq_n_u64(vmovl_u32(top), 32);
  return vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(w.v), sign));
}
inline part<double> with_signs_low(part<double> w, pack_u32 word) {
  return with_signs(w, vget_low_u32(word.v));
}
inline part<double> with_signs_high(part<double> w, pack_u32 word) {
  return with_signs(w, vget_high_u32(word.v));
}

struct pack {
  static constexpr int lanes = 4;
  using word = pack_u32;
  using u32 = pack_u32;
  using f32 = part<float>;

  static word counters(std::uint32_t first) {
    const std::uint32_t steps[lanes] = {0, 1, 2, 3};
    return vaddq_u32(vdupq_n_u32(first), vld1q_u32(steps));
  }
  static word broadcast(std::uint32_t a) { return word(a); }
  static u32 merge(word a) { return a; }
  static f32 first(f32 a, index_t count) {
    const std::uint32_t lane[lanes] = {0, 1, 2, 3};
    const index_t kept = count < 0 ? 0 : count < lanes ? count : lanes;
    const uint32x4_t mask =
        vcltq_u32(vld1q_u32(lane), vdupq_n_u32(static_cast<std::uint32_t>(kept)));
    return float_of_bits(bits_of(a) & pack_u32(mask));
  }
};

}  // namespace
}  // namespace zo::detail

#include "simd/row.hpp"
