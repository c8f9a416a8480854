// Numbers that must be whole, for estimators that take small steps.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/objective.hpp"
#include "zo/random.hpp"

namespace zo {

namespace detail {

// Up where the fraction is above a threshold that the sample draws for coordinate i. The threshold
// is in [0, 1), of 24 bits: the sum with a float is rounded down to what is below the next number.
template <class T>
T rounded_at_random(T value, index_t i, sample_id sample, std::uint64_t seed) {
  constexpr sample_id steps = (sample_id{1} << 56) - 1;
  const stream from{seed ^ (sample >> 56), sample & steps, static_cast<std::uint32_t>(i) + 1,
                    purpose::coordinates};
  return std::floor(value + static_cast<T>(static_cast<double>(from.words(0).w0 >> 8) * 0x1p-24));
}

}  // namespace detail

/// `f` with some coordinates rounded to whole numbers before it is asked, at random: an objective
/// f(x, sample) whose mean is f between its whole points, linear from each to the next. All
/// queries of an estimate round alike, x[i] up where its fraction is above a threshold that the
/// sample draws for coordinate i, so that only what a step really changes makes a slope.
///
///   const std::vector<zo::index_t> whole{0, 2};
///   const zo::integers rounded(f, whole);
///   zo::minimize(zo::seq, rounded, x, zo::cge({.smoothing = 0.5}, zo::central{}), …);
///   const std::vector<double> best = rounded.nearest(x);
///
/// Take a smoothing of 0.5 or so, and central differences: with a smaller one most steps change
/// nothing, and some a lot. Where bounds are whole numbers, x between them is rounded to what is
/// between them (zo::inside). Queries: those of f. Memory: a copy of the point a query.
template <class F>
class integers {
 public:
  integers(F f, std::vector<index_t> coordinates, std::uint64_t seed = 0)
      : f_(std::move(f)), coordinates_(std::move(coordinates)), seed_(seed) {
    for (const index_t i : coordinates_) {
      detail::require(i >= 0 && i < (index_t{1} << 32) - 1,
                      "zo::integers: coordinates must be 0 … 2^32 - 2, got ", i);
    }
  }

  template <scalar T>
  requires scalar_objective<const F, T>
  double asked(std::span<const T> x, sample_id sample) const {
    std::vector<T> rounded(x.begin(), x.end());
    for (const index_t i : coordinates_) {
      T& value = number(rounded, i);
      value = detail::rounded_at_random(value, i, sample, seed_);
    }
    return static_cast<double>(f_(std::span<const T>(rounded)));
  }
  double operator()(std::span<const float> x,
                    sample_id sample) const requires scalar_objective<const F, float> {
    return asked(x, sample);
  }
  double operator()(std::span<const double> x,
                    sample_id sample) const requires scalar_objective<const F, double> {
    return asked(x, sample);
  }

  /// x with these coordinates at the nearest whole numbers.
  template <contiguous_vector X>
  std::vector<scalar_of<X>> nearest(const X& x) const {
    std::vector<scalar_of<X>> rounded(std::ranges::begin(x), std::ranges::end(x));
    for (const index_t i : coordinates_) {
      auto& value = number(rounded, i);
      value = std::round(value);
    }
    return rounded;
  }

 private:
  template <class T>
  static T& number(std::vector<T>& x, index_t i) {
    detail::require(i < static_cast<index_t>(x.size()), "zo::integers: x has no coordinate ", i,
                    ", only ", x.size());
    return x[static_cast<std::size_t>(i)];
  }

  F f_;
  std::vector<index_t> coordinates_;
  std::uint64_t seed_;
};

}  // namespace zo
