// Random directions u: their distributions, their scale, and how a value follows from a counter.
//
// A direction is a pure function of (seed, step, number) and is never stored. Values have float
// precision in every scalar type, and are the same bits on every machine: only exactly rounded
// operations are used (conversions, +, *, sqrt, explicit fma), never a library function.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/random.hpp"

namespace zo {

/// The instruction set of the direction kernels that this process uses: "avx512", "avx2" or
/// "generic". Environment variable ZO_INSTRUCTION_SET picks a narrower one; the numbers are the
/// same bits in each.
const char* instruction_set();

namespace detail {

// Kinds of raw values a counter block is turned into.
enum class law { gaussian, rademacher };

// Layout. Counter blocks come in groups of `lanes`, one per SIMD lane. Group n holds blocks
// lanes*n … lanes*n+lanes-1 and yields lanes * values_per_block consecutive coordinates; value v of
// lane l is coordinate v*lanes + l of the group. So a vector of lanes is a run of coordinates on
// every machine, and a GPU warp writes runs of 64 bytes.
inline constexpr index_t lanes = 16;
inline constexpr index_t gaussian_values_per_block = 4;
inline constexpr index_t rademacher_values_per_block = 128;
inline constexpr index_t gaussian_group = lanes * gaussian_values_per_block;
inline constexpr index_t rademacher_group = lanes * rademacher_values_per_block;
// Kernels work on whole tiles: a multiple of every group, small enough for the first-level cache.
inline constexpr index_t tile = rademacher_group;
// A 32-bit block number limits a direction to this many coordinates.
inline constexpr index_t max_dimension = (index_t{1} << 32) * gaussian_values_per_block;

ZO_HD constexpr index_t values_per_block(law kind) {
  return kind == law::gaussian ? gaussian_values_per_block : rademacher_values_per_block;
}

// Scalar forms of the operations that the transforms below are written in. Each SIMD pack of the
// compiled kernels has the same set, found by argument-dependent lookup.
ZO_HD inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
ZO_HD inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
ZO_HD inline float root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);  // exactly rounded also under a program's own -use_fast_math
#else
  return __builtin_sqrtf(a);
#endif
}
ZO_HD inline float float_from_signed(std::uint32_t a) {
  return static_cast<float>(static_cast<std::int32_t>(a));
}
ZO_HD inline std::uint32_t bits_of(float a) {
  std::uint32_t bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}
ZO_HD inline float float_of_bits(std::uint32_t a) {
  float value;
  std::memcpy(&value, &a, sizeof value);
  return value;
}
ZO_HD inline std::uint32_t shift_right_signed(std::uint32_t a, int count) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(a) >> count);
}

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

// The four normals of one counter block.
ZO_HD inline void block_normals(const words4<std::uint32_t>& words, float value[4]) {
  normal_pair(words.w0, words.w1, value[0], value[1]);
  normal_pair(words.w2, words.w3, value[2], value[3]);
}

// Raw value of one coordinate, for code that needs a single element. The kernels give the same
// bits.
ZO_HD inline float raw_value(law kind, const stream& from, index_t coordinate) {
  const index_t per_block =
      kind == law::gaussian ? gaussian_values_per_block : rademacher_values_per_block;
  const index_t group = coordinate / (lanes * per_block);
  const index_t value = coordinate / lanes % per_block;
  const words4<std::uint32_t> word =
      from.words(static_cast<std::uint32_t>(group * lanes + coordinate % lanes));
  if (kind == law::gaussian) {
    const bool upper = value >= 2;
    float first = 0, second = 0;
    normal_pair(upper ? word.w2 : word.w0, upper ? word.w3 : word.w1, first, second);
    return value % 2 == 0 ? first : second;
  }
  const index_t position = value / 32;
  const std::uint32_t bits = position == 0   ? word.w0
                             : position == 1 ? word.w1
                             : position == 2 ? word.w2
                                             : word.w3;
  return (bits >> (31 - value % 32)) & 1u ? -1.0f : 1.0f;  // most significant bit first
}

// One level of the tree that adds the sums of the lanes of a tile, in the one order that every
// machine uses. Lanes of a level are independent; on a GPU a barrier parts the levels.
ZO_HD inline void lane_tree_level(double* sum, index_t lane, index_t half) {
  if (lane < half) sum[lane] += sum[lane + half];
}
inline double lane_tree(double* sum) {
  for (index_t half = lanes / 2; half >= 1; half /= 2) {
    for (index_t lane = 0; lane < half; ++lane) lane_tree_level(sum, lane, half);
  }
  return sum[0];
}

// The compiled kernels (src/direction.cpp chooses the widest instruction set once). `first` is a
// multiple of `tile`; arrays start at coordinate `first`. `out` may be `x`.
template <class T>
void perturb(law kind, const stream& from, index_t first, index_t count, const T* x, T h, T* out);
// g[i] = fma(weights[k], raw value i of direction from.number + k, g[i]) for k = 0 … directions-1.
template <class T>
void accumulate(law kind, const stream& from, index_t directions, const T* weights, index_t first,
                index_t count, T* g);
// Sum of squares of the raw Gaussian values of coordinates first … first+count-1.
double sum_of_squares(const stream& from, index_t first, index_t count);
// 1 / root of their sum, added in order.
double inverse_root_of_sum(std::span<const double> values);
// 1 / norm of the raw Gaussian direction, summed tile by tile in a fixed order.
double inverse_norm(const stream& from, index_t dimension);

}  // namespace detail

/// Independent standard normal coordinates. E[u uᵀ] = I, so the scale c is 1.
struct gaussian {
  static constexpr detail::law law = detail::law::gaussian;
  static constexpr bool unit_norm = false;
  static constexpr double scale(index_t) { return 1.0; }
};

/// Independent signs, +1 or -1 with probability 1/2. E[u uᵀ] = I, so the scale c is 1. One random
/// bit a coordinate: the cheapest distribution, and the one of least variance.
struct rademacher {
  static constexpr detail::law law = detail::law::rademacher;
  static constexpr bool unit_norm = false;
  static constexpr double scale(index_t) { return 1.0; }
};

/// Uniform on the unit sphere: a Gaussian direction divided by its norm. E[u uᵀ] = I / d, so the
/// scale c(d) is d. This is the estimate of ZO-AE-DS (Zhang et al., ICLR 2022, eq. 3). Each use
/// costs one more generation of the direction, for the norm.
struct sphere {
  static constexpr detail::law law = detail::law::gaussian;
  static constexpr bool unit_norm = true;
  static constexpr double scale(index_t dimension) { return static_cast<double>(dimension); }
};

/// A direction distribution: raw values by `law`, divided by their norm if `unit_norm`, and the
/// factor scale(d) with scale(d) * E[u uᵀ] = I.
template <class D>
concept distribution = requires(index_t dimension) {
  { D::law } -> std::convertible_to<detail::law>;
  { D::unit_norm } -> std::convertible_to<bool>;
  { D::scale(dimension) } -> std::convertible_to<double>;
};

namespace detail {

// Factor between the raw values and the direction.
template <distribution D>
double raw_factor(const stream& from, index_t dimension) {
  if constexpr (D::unit_norm) return inverse_norm(from, dimension);
  return 1.0;
}

inline void check_dimension(const char* who, index_t dimension) {
  require(dimension >= 1, who, ": x has no coordinates; give at least 1");
  require(dimension <= max_dimension, who, ": at most 2^34 coordinates are supported, got ",
          dimension);
}

}  // namespace detail

/// Writes direction `from` of the distribution into `out` (d values). The estimators never store a
/// direction; this is for looking at one, for tests, and for other uses of the same randomness.
/// Cost: no queries, no memory.
template <distribution D, scalar T>
void fill_direction(D, const stream& from, std::span<T> out) {
  const auto dimension = static_cast<index_t>(out.size());
  detail::check_dimension("zo::fill_direction", dimension);
  detail::check_memory("zo::fill_direction", "out", out.data());
  for (T& value : out) value = T(0);
  detail::perturb<T>(D::law, from, 0, dimension, out.data(),
                     static_cast<T>(detail::raw_factor<D>(from, dimension)), out.data());
}

}  // namespace zo
