// The product over vectors of one instruction set. Raw pointers and built-ins only, as in
// direction_kernels.hpp.
#pragma once

#include "product.hpp"

#if defined(ZO_PACK_AVX512) || defined(ZO_PACK_AVX2)
#include <immintrin.h>
#endif

namespace zo::nn::detail {
namespace {

// lanes, load, store, broadcast, and sum + a * b rounded once.
template <class T>
struct vector;

#if defined(ZO_PACK_AVX512)
template <>
struct vector<float> {
  static constexpr int lanes = 16;
  __m512 v;
  static vector load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static vector all(float a) { return {_mm512_set1_ps(a)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  vector plus(vector a, vector b) const { return {_mm512_fmadd_ps(a.v, b.v, v)}; }
};
template <>
struct vector<double> {
  static constexpr int lanes = 8;
  __m512d v;
  static vector load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static vector all(double a) { return {_mm512_set1_pd(a)}; }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  vector plus(vector a, vector b) const { return {_mm512_fmadd_pd(a.v, b.v, v)}; }
};
inline constexpr int rows_at_once = 8, vectors_at_once = 3;
#elif defined(ZO_PACK_AVX2)
template <>
struct vector<float> {
  static constexpr int lanes = 8;
  __m256 v;
  static vector load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static vector all(float a) { return {_mm256_set1_ps(a)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  vector plus(vector a, vector b) const { return {_mm256_fmadd_ps(a.v, b.v, v)}; }
};
template <>
struct vector<double> {
  static constexpr int lanes = 4;
  __m256d v;
  static vector load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static vector all(double a) { return {_mm256_set1_pd(a)}; }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
  vector plus(vector a, vector b) const { return {_mm256_fmadd_pd(a.v, b.v, v)}; }
};
inline constexpr int rows_at_once = 4, vectors_at_once = 2;
#else
inline constexpr int rows_at_once = 4, vectors_at_once = 1;
#endif

inline float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }

// One number a lane: what is left beside whole vectors, and everything without SIMD.
template <class T>
struct single {
  static constexpr int lanes = 1;
  T v;
  static single load(const T* p) { return {*p}; }
  static single all(T a) { return {a}; }
  void store(T* p) const { *p = v; }
  single plus(single a, single b) const { return {multiply_add(a.v, b.v, v)}; }
};

// Rows x Vectors of c from row r and column j on stay in registers over all of k.
template <class V, int Rows, int Vectors, class T>
inline void block(const product_shape<T>& p, index r, index j) {
  V sum[Rows][Vectors];
  T* const c = p.c + r * p.c_row + j;
  for (int i = 0; i < Rows; ++i) {
    for (int w = 0; w < Vectors; ++w) {
      sum[i][w] = p.add ? V::load(c + i * p.c_row + w * V::lanes) : V::all(T(0));
    }
  }
  const T* a = p.a + r * p.k;
  const T* b = p.b + j;
  for (index k = 0; k < p.k; ++k, ++a, b += p.b_row) {
    V row[Vectors];
    for (int w = 0; w < Vectors; ++w) row[w] = V::load(b + w * V::lanes);
    for (int i = 0; i < Rows; ++i) {
      const V factor = V::all(a[i * p.k]);
      for (int w = 0; w < Vectors; ++w) sum[i][w] = sum[i][w].plus(factor, row[w]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int w = 0; w < Vectors; ++w) sum[i][w].store(c + i * p.c_row + w * V::lanes);
  }
}

template <class V, int Vectors, class T>
inline void strip(const product_shape<T>& p, index j) {
  index r = 0;
  for (; r + rows_at_once <= p.m; r += rows_at_once) block<V, rows_at_once, Vectors>(p, r, j);
  for (; r + 2 <= p.m; r += 2) block<V, 2, Vectors>(p, r, j);
  for (; r < p.m; ++r) block<V, 1, Vectors>(p, r, j);
}

template <class T>
void product_kernel(const product_shape<T>& p) {
  index j = 0;
#if defined(ZO_PACK_AVX512) || defined(ZO_PACK_AVX2)
  using wide = vector<T>;
  for (; j + vectors_at_once * wide::lanes <= p.n; j += vectors_at_once * wide::lanes) {
    strip<wide, vectors_at_once>(p, j);
  }
  for (; j + wide::lanes <= p.n; j += wide::lanes) strip<wide, 1>(p, j);
#endif
  for (; j < p.n; ++j) strip<single<T>, 1>(p, j);
}

}  // namespace
}  // namespace zo::nn::detail
