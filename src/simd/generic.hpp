// Any machine: registers of one number, and packs of one lane, which is what zo/law/arithmetic.hpp
// and zo/random.hpp are written for.
#pragma once

#include "simd/pack.hpp"
#include "zo/law/arithmetic.hpp"

namespace zo::detail {
namespace {

inline constexpr int registers = 16;

template <class T>
struct part {
  static constexpr int width = 1;
  T v;
  part() = default;
  explicit part(T a) : v(a) {}
  static part load(const T* p) { return part(*p); }
  void store(T* p) const { *p = v; }
  static part load_first(const T* p, index_t count) { return part(count > 0 ? *p : T(0)); }
  void store_first(T* p, index_t count) const {
    if (count > 0) *p = v;
  }
};
template <class T>
inline part<T> operator+(part<T> a, part<T> b) {
  return part<T>(a.v + b.v);
}
template <class T>
inline part<T> operator-(part<T> a, part<T> b) {
  return part<T>(a.v - b.v);
}
inline part<float> operator*(part<float> a, part<float> b) { return part<float>(a.v * b.v); }
inline part<float> root(part<float> a) { return part<float>(zo::detail::root(a.v)); }

// a * b + c where the compiler has no such instruction and would call a function for it. The
// product of floats is exact in double, and a sum that is not a tie of floats rounds to float as if
// it were exact. One that may be a tie, also among subnormal numbers, is first rounded to odd:
// Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC 2008.
inline float fused_in_double(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const auto addend = static_cast<double>(c);
  double sum = product + addend;
  auto bits = __builtin_bit_cast(std::uint64_t, sum);
  if ((bits & 0xfffffffu) == 0) [[unlikely]] {
    const double added = sum - product;
    const double error =
        (product - (sum - added)) + (addend - added);  // NaN where sum is no number
    if (error > 0 || error < 0) {
      bits += (error > 0) == (sum > 0) ? 1u : ~std::uint64_t{0};
      sum = __builtin_bit_cast(double, bits);
    }
  }
  return static_cast<float>(sum);
}
#if defined(__FP_FAST_FMAF)
inline part<float> fused(part<float> a, part<float> b, part<float> c) {
  return part<float>(zo::detail::fused(a.v, b.v, c.v));
}
#else
inline part<float> fused(part<float> a, part<float> b, part<float> c) {
  return part<float>(fused_in_double(a.v, b.v, c.v));
}
#endif
inline part<double> fused(part<double> a, part<double> b, part<double> c) {
  return part<double>(zo::detail::fused(a.v, b.v, c.v));
}

struct pack_u32 {
  std::uint32_t v;
  pack_u32() = default;
  explicit pack_u32(std::uint32_t a) : v(a) {}
};
inline pack_u32 operator^(pack_u32 a, pack_u32 b) { return pack_u32(a.v ^ b.v); }
inline pack_u32 operator&(pack_u32 a, pack_u32 b) { return pack_u32(a.v & b.v); }
inline pack_u32 operator-(pack_u32 a, pack_u32 b) { return pack_u32(a.v - b.v); }
inline pack_u32 operator<<(pack_u32 a, int n) { return pack_u32(a.v << n); }
inline pack_u32 operator>>(pack_u32 a, int n) { return pack_u32(a.v >> n); }
inline pack_u32 shift_right_signed(pack_u32 a, int n) {
  return pack_u32(zo::detail::shift_right_signed(a.v, n));
}
inline part<float> float_from_signed(pack_u32 a) {
  return part<float>(zo::detail::float_from_signed(a.v));
}
inline pack_u32 bits_of(part<float> a) { return pack_u32(zo::detail::bits_of(a.v)); }
inline part<float> float_of_bits(pack_u32 a) { return part<float>(zo::detail::float_of_bits(a.v)); }

struct pack {
  static constexpr int lanes = 1;
  using word = std::uint32_t;
  using u32 = pack_u32;
  using f32 = part<float>;

  static word counters(std::uint32_t first) { return first; }
  static word broadcast(std::uint32_t a) { return a; }
  static u32 merge(word a) { return u32(a); }
  static f32 first(f32 a, index_t count) { return count > 0 ? a : f32(0.0f); }
};

template <class T>
struct row {
  T v;
  static row load(const T* p) { return {*p}; }
  void store(T* p) const { *p = v; }
  static row load_first(const T* p, index_t count) { return {count > 0 ? *p : T(0)}; }
  void store_first(T* p, index_t count) const {
    if (count > 0) *p = v;
  }
  static row zero() { return {T(0)}; }
  row fma(T w, part<float> a) const {
    return {fused(part<T>(w), part<T>(static_cast<T>(a.v)), part<T>(v)).v};
  }
  row add_square(part<float> a) const { return {v + static_cast<T>(a.v) * static_cast<T>(a.v)}; }
  row add_signed(T w, pack_u32 word) const { return {v + ((word.v >> 31) != 0 ? -w : w)}; }
};

}  // namespace
}  // namespace zo::detail
