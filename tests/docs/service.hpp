// What docs/service.md takes for granted.
#include <vector>
#include <zo/service.hpp>
#include <zo/zo.hpp>

inline constexpr zo::index_t B = 2, d = 3;
inline std::vector<double> x{-1.2, 1.0}, z(B*d), v(3);
inline zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
