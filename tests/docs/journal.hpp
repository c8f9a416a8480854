// What docs/journal.md takes for granted.
#include <chrono>
#include <cstdio>
#include <span>
#include <vector>
#include <zo/journal.hpp>
#include <zo/zo.hpp>

inline std::vector<double> x{-1.2, 1.0};
inline zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
inline double f(std::span<const double> x) { return x[0] * x[0] + x[1] * x[1]; }
inline const zo::space wing({{.name = "camber", .lower = 0, .upper = 0.09}});
