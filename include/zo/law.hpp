// What a direction distribution is, the list of those that zo has compiled kernels for, and the
// layout in which all of them turn counter blocks into coordinates.
#pragma once

#include <concepts>
#include <cstdint>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/law/gaussian.hpp"
#include "zo/law/rademacher.hpp"
#include "zo/law/sphere.hpp"
#include "zo/random.hpp"

namespace zo {

namespace detail {

// Layout. Counter blocks come in groups of `lanes`, one per SIMD lane. Group n holds blocks
// lanes*n … lanes*n+lanes-1 and yields lanes * values_per_block consecutive coordinates; value v of
// lane l is coordinate v*lanes + l of the group. So a vector of lanes is a run of coordinates on
// every machine, and a GPU warp writes runs of 64 bytes.
inline constexpr index_t lanes = 16;
// Kernels work on whole tiles: a multiple of every group, small enough for the first-level cache.
inline constexpr index_t tile = 2048;

template <class L>
inline constexpr index_t values_per_block = index_t{L::pieces} * L::values;
template <class L>
inline constexpr index_t group_of_law = lanes* values_per_block<L>;

// A 32-bit block number limits a direction to this many coordinates.
inline constexpr index_t max_dimension = (index_t{1} << 32) * values_per_block<gaussian>;

struct any_visit {
  ZO_HD void operator()(int, float) const {}
};

}  // namespace detail

/// How raw values of a direction follow from random numbers. A counter block is 128 random bits, in
/// four words; in each of 16 lanes it makes `pieces` pieces of `values` raw values each:
///   L::each(words, piece, visit)   calls visit(v, value) for v = 0 … values-1, host and device
///   L::continuous                  raw values are spread over intervals: rounding averages out
///   L::largest                     no raw value is larger in size
/// pieces * values divides 128. Use exactly rounded operations only (+, *, sqrt, fma), and
/// directions are the same bits on every machine.
template <class L>
concept direction_law = detail::rule(
    requires(const words4<std::uint32_t>& words, int piece, detail::any_visit visit) {
      L::each(words, piece, visit);
    },
    "zo: a law of directions has L::each(words, piece, visit): see zo/law.hpp") && requires {
  { L::pieces } -> std::convertible_to<int>;
  { L::values } -> std::convertible_to<int>;
  { L::continuous } -> std::convertible_to<bool>;
  { L::largest } -> std::convertible_to<double>;
} && detail::rule(128 % (L::pieces * L::values) == 0,
                  "zo: the raw values of a counter block, pieces * values, must divide 128");

/// A direction distribution: raw values of `law`, divided by their norm if `unit_norm`, and the
/// factor scale(d) with scale(d) * E[u uᵀ] = I. Yours may stand in any namespace; it runs under
/// every policy, on the CPU one lane at a time.
template <class D>
concept distribution = requires(index_t dimension) {
  typename D::law;
  { D::unit_norm } -> std::convertible_to<bool>;
  { D::scale(dimension) } -> std::convertible_to<double>;
}
&&direction_law<typename D::law>;

namespace detail {

template <class... Laws>
struct law_list {
  template <class L>
  static constexpr int number_of() {
    int number = 0;
    const bool found = ((std::same_as<L, Laws> || (++number, false)) || ...);
    return found ? number : -1;
  }
  // run(L{}) for the law of this number: the only branch by laws.
  template <class Run>
  static void visit(int number, const Run& run) {
    int at = 0;
    ((at++ == number ? run(Laws{}) : void()), ...);
  }
};

// The laws with compiled kernels: a line here, a file in zo/law/, its SIMD form in src/law/.
using compiled_laws = law_list<gaussian, rademacher>;

template <class L>
inline constexpr int law_number = compiled_laws::number_of<L>();
template <class L>
inline constexpr bool is_compiled = law_number<L> >= 0;
template <class Run>
void visit_law(int number, const Run& run) {
  compiled_laws::visit(number, run);
}

// Raw value of one coordinate, for code that needs a single element. The kernels give the same
// bits.
template <direction_law L>
ZO_HD inline float raw_value(const stream& from, index_t coordinate) {
  const index_t group = coordinate / group_of_law<L>;
  const auto value = static_cast<int>(coordinate / lanes % values_per_block<L>);
  const auto words = from.words(static_cast<std::uint32_t>(group * lanes + coordinate % lanes));
  float wanted = 0;
  L::each(words, value / L::values, [&](int v, float raw) {
    if (v == value % L::values) wanted = raw;
  });
  return wanted;
}

inline void check_dimension(const char* who, index_t dimension) {
  require(dimension >= 1, who, ": x has no coordinates; give at least 1");
  require(dimension <= max_dimension, who, ": at most 2^34 coordinates are supported, got ",
          dimension);
}

}  // namespace detail
}  // namespace zo
