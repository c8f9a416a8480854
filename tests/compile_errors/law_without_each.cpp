// expect: a law of directions has L::each\(words, piece, visit\)
// A law makes raw values from words.
#include "zo/zo.hpp"

struct uniform {
  using law = uniform;
  static constexpr bool unit_norm = false;
  static constexpr double scale(zo::index_t) { return 1.0; }
  static constexpr int pieces = 1;
  static constexpr int values = 4;
  static constexpr bool continuous = true;
  static constexpr double largest = 2;
};
void run() { zo::rge how({.directions = 2}, uniform{}, zo::forward{}); }
