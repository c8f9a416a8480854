// Rows of packs that are one register of floats: that one, or two of doubles.
#pragma once

#include "simd/pack.hpp"

namespace zo::detail {
namespace {

template <>
struct row<float> {
  part<float> v;
  static row load(const float* p) { return {part<float>::load(p)}; }
  void store(float* p) const { v.store(p); }
  static row load_first(const float* p, index_t count) {
    return {part<float>::load_first(p, count)};
  }
  void store_first(float* p, index_t count) const { v.store_first(p, count); }
  row fma(float w, part<float> a) const { return {fused(part<float>(w), a, v)}; }
  row add_signed(float w, pack::u32 word) const { return {v + with_signs(part<float>(w), word)}; }
};

template <>
struct row<double> {
  using half = part<double>;
  half low, high;
  static row load(const double* p) { return {half::load(p), half::load(p + half::width)}; }
  void store(double* p) const {
    low.store(p);
    high.store(p + half::width);
  }
  static row load_first(const double* p, index_t count) {
    return {half::load_first(p, count), half::load_first(p + half::width, count - half::width)};
  }
  void store_first(double* p, index_t count) const {
    low.store_first(p, count);
    high.store_first(p + half::width, count - half::width);
  }
  static row zero() { return {half(0.0), half(0.0)}; }
  row fma(double w, part<float> a) const {
    return {fused(half(w), low_half(a), low), fused(half(w), high_half(a), high)};
  }
  row add_square(part<float> a) const {
    const half x = low_half(a), y = high_half(a);
    return {fused(x, x, low), fused(y, y, high)};
  }
  row add_signed(double w, pack::u32 word) const {
    return {low + with_signs_low(half(w), word), high + with_signs_high(half(w), word)};
  }
};

}  // namespace
}  // namespace zo::detail
