// Independent standard normal coordinates.
#pragma once

#include <cstdint>

#include "zo/config.hpp"
#include "zo/law/arithmetic.hpp"
#include "zo/random.hpp"

namespace zo {

namespace detail {

// -2 ln(u) for u = (r + 1/2) / 2^31 with r = radius_word / 2, squeezed below 1: always positive, so
// that no normal is ever exactly zero. Polynomial for ln(m)/m-range [sqrt(1/2), sqrt(2)), error
// 7e-8.
template <class F, class U>
ZO_HD inline F minus_two_log_uniform(U radius_word) {
  const F u = fused(float_from_signed(radius_word >> 1), F(0x1.fffffep-32f), F(0x1p-32f));
  const U shifted = bits_of(u) - U(0x3f3504f3u);  // bits of sqrt(1/2)
  const U exponent = shift_right_signed(shifted, 23);
  const F e = float_from_signed(exponent);
  const F m = float_of_bits(bits_of(u) - (exponent << 23));
  const F f = m + F(-1.0f);
  F p(-0.1757453098f);
  p = fused(p, f, F(0.2831929402f));
  p = fused(p, f, F(-0.2966957368f));
  p = fused(p, f, F(0.3317697706f));
  p = fused(p, f, F(-0.3994409942f));
  p = fused(p, f, F(0.5000229536f));
  p = fused(p, f, F(-0.6666734122f));
  p = fused(p, f, F(0.9999999427f));
  const F series = fused(f * f, p, f * F(-2.0f));
  return fused(e, F(-1.3862943611f), series);
}

/// Two independent standard normals from two random words (Box and Muller 1958). Tails reach 6.66.
template <class F, class U>
ZO_HD inline void normal_pair(U radius_word, U angle_word, F& first, F& second) {
  const F radius = root(minus_two_log_uniform<F>(radius_word));
  // Bits 0-29: angle t * pi/2 within a quarter turn around zero, never exactly zero. Bit 31 mirrors
  // it, bit 30 exchanges the two legs: together the whole circle.
  const F t = fused(float_from_signed(angle_word << 2), F(0x1p-32f), F(0x1p-33f));
  const F t2 = t * t;
  F sine(-0.00460214921f);
  sine = fused(sine, t2, F(0.0796802176f));
  sine = fused(sine, t2, F(-0.645963478f));
  sine = fused(sine, t2, F(1.57079632f));
  F cosine(0.000906739898f);
  cosine = fused(cosine, t2, F(-0.0208615283f));
  cosine = fused(cosine, t2, F(0.253669410f));
  cosine = fused(cosine, t2, F(-1.23370055f));
  cosine = fused(cosine, t2, F(1.0f));
  const U a = bits_of(cosine) ^ (angle_word & U(0x80000000u));
  const U b = bits_of(sine * t);
  const U exchange = (a ^ b) & shift_right_signed(angle_word << 1, 31);
  first = radius * float_of_bits(a ^ exchange);
  second = radius * float_of_bits(b ^ exchange);
}

}  // namespace detail

/// Independent standard normal coordinates. E[u uᵀ] = I, so the scale c is 1.
struct gaussian {
  using law = gaussian;
  static constexpr bool unit_norm = false;
  static constexpr double scale(index_t) { return 1.0; }

  static constexpr int pieces = 1;
  static constexpr int values = 4;
  static constexpr bool continuous = true;
  static constexpr double largest = 6.67;

  template <class Visit>
  ZO_HD static void each(const words4<std::uint32_t>& words, int, Visit&& visit) {
    float first = 0, second = 0;
    detail::normal_pair(words.w0, words.w1, first, second);
    visit(0, first);
    visit(1, second);
    detail::normal_pair(words.w2, words.w3, first, second);
    visit(2, first);
    visit(3, second);
  }
};

}  // namespace zo
