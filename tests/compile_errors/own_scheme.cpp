// expect: difference_scheme|constraints not satisfied for class template 'cge'
// A scheme asks one or two points.
#include "zo/zo.hpp"

struct three_points {
  static constexpr bool uses_base = true;
  static constexpr int points = 3;
};
void run() { zo::cge how({}, three_points{}); }
