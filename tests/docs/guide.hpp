// What docs/guide.md takes for granted.
#include <algorithm>
#include <cstdio>
#include <vector>
#include <zo/zo.hpp>

inline std::vector<double> x(3), gradient(3), snapshot(3), old(3), good(3), direction(3);
inline auto f = [](std::span<const double> at) { return at[0]; };
inline const zo::rge how({.directions = 8});
inline constexpr std::uint64_t t = 0;
inline constexpr std::uint32_t k = 0;

inline constexpr double mu = 1e-3;
inline std::vector<double> moved(3), weights(4);
inline std::vector<float> numbers(12);
inline std::span<float> weight(numbers.data(), 8), bias(numbers.data() + 8, 4);
double my_loss_of_the_network();
