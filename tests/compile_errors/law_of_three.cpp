// expect: pieces \* values, must divide 128
// The groups of a law must fill tiles.
#include "zo/zo.hpp"

struct uniform {
  using law = uniform;
  static constexpr bool unit_norm = false;
  static constexpr double scale(zo::index_t) { return 1.0; }
  static constexpr int pieces = 1;
  static constexpr int values = 3;
  static constexpr bool continuous = true;
  static constexpr double largest = 2;
  template <class Visit>
  static void each(const zo::words4<std::uint32_t>&, int, Visit&& visit) {
    for (int v = 0; v < values; ++v) visit(v, 1.0f);
  }
};
void run() { zo::rge how({.directions = 2}, uniform{}, zo::forward{}); }
