// Laws of directions that zo does not know.
#pragma once

#include <cstdint>

#include "zo/law.hpp"

namespace elsewhere {

/// Uniform on the cube from -root(3) to root(3): one word a coordinate.
struct cube {
  using law = cube;
  static constexpr bool unit_norm = false;
  static constexpr double scale(zo::index_t) { return 1.0; }

  static constexpr int pieces = 1;
  static constexpr int values = 4;
  static constexpr bool continuous = true;
  static constexpr double largest = 1.7320509;
  static constexpr double fourth_moment = 9.0 / 5;

  template <class Visit>
  ZO_HD static void each(const zo::words4<std::uint32_t>& words, int, Visit&& visit) {
    visit(0, of_word(words.w0));
    visit(1, of_word(words.w1));
    visit(2, of_word(words.w2));
    visit(3, of_word(words.w3));
  }
  ZO_HD static float of_word(std::uint32_t word) {
    return static_cast<float>(static_cast<std::int32_t>(word)) * (1.7320508f * 0x1p-31f);
  }
};

/// The same on the sphere of radius 1.
struct cube_directions {
  using law = cube;
  static constexpr bool unit_norm = true;
  static constexpr double scale(zo::index_t dimension) { return static_cast<double>(dimension); }
};

/// Sparse signs (Achlioptas 2003): root(3) times +1 or -1, with probability 1/6 each, else 0. Half
/// a word a coordinate, so that the probability is 10923 / 65536, and the scale says so.
struct sparse_signs {
  using law = sparse_signs;
  static constexpr bool unit_norm = false;
  static constexpr double scale(zo::index_t) { return 65536.0 / (6 * 10923); }

  static constexpr int pieces = 4;
  static constexpr int values = 2;
  static constexpr bool continuous = false;
  static constexpr double largest = 1.7320509;
  static constexpr double fourth_moment = 3.0 * 6 * 10923 / 65536;

  template <class Visit>
  ZO_HD static void each(const zo::words4<std::uint32_t>& words, int piece, Visit&& visit) {
    const std::uint32_t word = piece == 0   ? words.w0
                               : piece == 1 ? words.w1
                               : piece == 2 ? words.w2
                                            : words.w3;
    visit(0, of_half(word & 0xffffu));
    visit(1, of_half(word >> 16));
  }
  ZO_HD static float of_half(std::uint32_t half) {
    return half < 10923 ? 1.7320508f : half < 2 * 10923 ? -1.7320508f : 0.0f;
  }
};

}  // namespace elsewhere
