// What docs/vector-answers.md takes for granted.
#include <cmath>
#include <vector>
#include <zo/zo.hpp>
