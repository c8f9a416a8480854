// expect: distribution
// A distribution states its law, norm and scale.
#include "zo/zo.hpp"

struct uniform {};
void run() { zo::rge how({.directions = 2}, uniform{}, zo::forward{}); }
