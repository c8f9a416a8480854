// Objectives that read their point coordinate by coordinate, in parts: a loss is the sum of what
// its parts answer.
//
// On the CPU the point lies in memory. On a GPU the parts of a query run side by side and the
// point may exist nowhere: coordinate i of x + h u is made in registers when a part reads it, so
// that a query costs one read of x and writes nothing (zo/cuda/lazy.hpp).
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "zo/config.hpp"
#include "zo/law.hpp"
#include "zo/random.hpp"

// nvcc only warns when device code calls a part() of the host, and makes it answer zero.
#if defined(__NVCC__)
#pragma nv_diagnostic push
#pragma nv_diag_error 20011, 20012, 20013, 20014, 20015
#endif

namespace zo {

namespace detail {

ZO_HD constexpr index_t first_of_part(index_t number) {
  return number / lanes * tile + number % lanes;
}

}  // namespace detail

/// A point in memory as one part of the work sees it.
///
/// Share (tile, lane) visits the 128 coordinates tile * 2048 + lane, + 16, + 32, … in this order:
/// one counter block of signs, or 32 of normals. Which part visits what depends on the dimension
/// alone, never on a machine.
template <class T>
class point_part {
 public:
  ZO_HD point_part(const T* x, index_t dimension, index_t number)
      : x_(x), dimension_(dimension), number_(number) {}

  /// Coordinates of the whole point.
  ZO_HD index_t size() const { return dimension_; }

  ZO_HD bool empty() const { return detail::first_of_part(number_) >= dimension_; }

  /// Any coordinate of the point, of this part or not.
  ZO_HD T operator[](index_t i) const { return x_[i]; }

  /// body(i, x_i) for each coordinate of this part.
  template <class Body>
  ZO_HD void each(Body&& body) const {
    const index_t first = detail::first_of_part(number_);
    const index_t end = dimension_ < first + detail::tile ? dimension_ : first + detail::tile;
    for (index_t i = first; i < end; i += detail::lanes) body(i, x_[i]);
  }

 private:
  const T* x_;
  index_t dimension_;
  index_t number_;
};

namespace detail {

/// x + h u as one part sees it: u is made as it is read. Same numbers as perturb() writes.
template <class T, direction_law L>
class perturbed_part {
 public:
  ZO_HD perturbed_part(const T* x, index_t dimension, index_t number, const stream& from, T h)
      : x_(x), dimension_(dimension), number_(number), from_(from), h_(h) {}

  ZO_HD index_t size() const { return dimension_; }
  ZO_HD bool empty() const { return first_of_part(number_) >= dimension_; }
  ZO_HD T operator[](index_t i) const {
    return fused(h_, static_cast<T>(raw_value<L>(from_, i)), x_[i]);
  }

  template <class Body>
  ZO_HD void each(Body&& body) const {
    const index_t start = number_ / lanes * tile;
    if (start + tile <= dimension_) {
      each_of_tile<true>(body);
    } else {
      each_of_tile<false>(body);
    }
  }

 private:
  template <bool Whole, class Body>
  ZO_HD void each_of_tile(Body& body) const {
    const index_t lane = number_ % lanes;
    const index_t start = number_ / lanes * tile;
    for (index_t at = start; at < start + tile && (Whole || at < dimension_);
         at += group_of_law<L>) {
      const auto words =
          from_.words(static_cast<std::uint32_t>(at / group_of_law<L> * lanes + lane));
      for (int piece = 0; piece < L::pieces; ++piece) {
        const index_t first = at + piece * (L::values * lanes) + lane;
        L::each(words, piece, [&](int v, float value) {
          const index_t i = first + v * lanes;
          if (Whole || i < dimension_) body(i, fused(h_, static_cast<T>(value), x_[i]));
        });
      }
    }
  }

  const T* x_;
  index_t dimension_;
  index_t number_;
  stream from_;
  T h_;
};

/// x with one coordinate replaced, as one part sees it.
template <class T>
class moved_part {
 public:
  ZO_HD moved_part(const T* x, index_t dimension, index_t number, index_t moved, T value)
      : plain_(x, dimension, number), moved_(moved), value_(value) {}

  ZO_HD index_t size() const { return plain_.size(); }
  ZO_HD bool empty() const { return plain_.empty(); }
  ZO_HD T operator[](index_t i) const { return i == moved_ ? value_ : plain_[i]; }

  template <class Body>
  ZO_HD void each(Body&& body) const {
    plain_.each([&](index_t i, T x) { body(i, i == moved_ ? value_ : x); });
  }

 private:
  point_part<T> plain_;
  index_t moved_;
  T value_;
};

}  // namespace detail

/// f.part(point_part) -> its part of the loss; the parts are added in one fixed order. A part
/// without coordinates is not asked. Written as a template over the type of the part (and
/// host-device where nvcc compiles it), the same object serves every policy. An optional member
/// finish(sum) -> loss is applied to the sum.
template <class F, class T>
concept plain_lazy_objective = requires(const F& f, const point_part<T>& x) {
  { f.part(x) } -> std::convertible_to<double>;
};

template <class F, class T>
concept sampled_lazy_objective = requires(const F& f, const point_part<T>& x,
                                          std::uint64_t sample) {
  { f.part(x, sample) } -> std::convertible_to<double>;
};

template <class F, class T>
concept lazy_objective = plain_lazy_objective<F, T> || sampled_lazy_objective<F, T>;

namespace detail {

// Parts are added in slices of 256 by a tree; slice sums into 256 strands, strand s taking slices
// s, s + 256, …, and the strands by the same tree. One block of GPU threads does either.
inline constexpr index_t slice = 256;
inline constexpr index_t slice_tile = slice / lanes * tile;  // coordinates

ZO_HD constexpr index_t slices(index_t dimension) {
  return (dimension + slice_tile - 1) / slice_tile;
}

// One level of the tree; on a GPU a barrier parts the levels.
ZO_HD inline void slice_tree_level(double* sum, index_t at, index_t half) {
  if (at < half) sum[at] += sum[at + half];
}

template <class F, class Part>
ZO_HD double part_of(const F& f, const Part& x, std::uint64_t sample) {
  if (x.empty()) return 0.0;
  if constexpr (requires { f.part(x, sample); }) {
    return static_cast<double>(f.part(x, sample));
  } else {
    return static_cast<double>(f.part(x));
  }
}

template <class F>
ZO_HD double finished(const F& f, double sum) {
  if constexpr (requires { f.finish(sum); }) {
    return static_cast<double>(f.finish(sum));
  } else {
    return sum;
  }
}

inline double slice_tree(double* sum) {
  for (index_t half = slice / 2; half >= 1; half /= 2) {
    for (index_t at = 0; at < half; ++at) slice_tree_level(sum, at, half);
  }
  return sum[0];
}

// The loss at a point in memory.
template <class F, class T>
double whole_loss(const F& f, std::span<const T> x, std::uint64_t sample) {
  const auto dimension = static_cast<index_t>(x.size());
  double strands[slice] = {};
  for (index_t s = 0; s < slices(dimension); ++s) {
    double parts[slice];
    for (index_t at = 0; at < slice; ++at) {
      parts[at] = part_of(f, point_part<T>(x.data(), dimension, s * slice + at), sample);
    }
    strands[s % slice] += slice_tree(parts);
  }
  return finished(f, slice_tree(strands));
}

}  // namespace detail
}  // namespace zo

#if defined(__NVCC__)
#pragma nv_diagnostic pop
#endif
