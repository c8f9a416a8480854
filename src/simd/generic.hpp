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
template <class T>
inline part<T> fused(part<T> a, part<T> b, part<T> c) {
  return part<T>(zo::detail::fused(a.v, b.v, c.v));
}

struct pair_part {
  bfloat16_pair v;
  pair_part() = default;
  explicit pair_part(bfloat16_pair a) : v(a) {}
  static pair_part load(const bfloat16_pair* p) { return pair_part(*p); }
  part<float> low() const { return part<float>(__builtin_bit_cast(float, v.bits << 16)); }
  part<float> high() const { return part<float>(__builtin_bit_cast(float, v.bits & 0xffff0000u)); }
};
inline part<float> fused(pair_part a, pair_part b, part<float> sum) {
  return fused(a.high(), b.high(), fused(a.low(), b.low(), sum));
}

struct pack {
  static constexpr int lanes = 1;
  using word = std::uint32_t;
  using u32 = std::uint32_t;
  using f32 = float;

  static word counters(std::uint32_t first) { return first; }
  static word broadcast(std::uint32_t a) { return a; }
  static u32 merge(word a) { return a; }
  static f32 first(f32 a, index_t count) { return count > 0 ? a : 0.0f; }
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
  row fma(T w, float a) const { return {zo::detail::fused(w, static_cast<T>(a), v)}; }
  row add_square(float a) const { return {v + static_cast<T>(a) * static_cast<T>(a)}; }
  row add_signed(T w, std::uint32_t word) const { return {v + ((word >> 31) != 0 ? -w : w)}; }
};

}  // namespace
}  // namespace zo::detail
