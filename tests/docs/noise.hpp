// What docs/noise.md takes for granted.
#include <cstdio>
#include <vector>
#include <zo/zo.hpp>

inline double my_measurement(std::span<const double> x) { return x[0]; }
inline std::vector<double> x(20);
