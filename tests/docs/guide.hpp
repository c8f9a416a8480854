// What docs/guide.md takes for granted.
#include <algorithm>
#include <map>
#include <string>
#include <vector>
#include <zo/zo.hpp>

inline std::vector<double> x(3), gradient(3), snapshot(3), old(3), good(3), direction(3);
inline auto f = [](std::span<const double> at) { return at[0]; };
inline const zo::rge how({.directions = 8});
inline constexpr std::uint64_t t = 0;
inline constexpr std::uint32_t k = 0;

std::string my_key(std::span<const double> point);
inline std::map<std::string, double> my_answers;
void my_write_question(std::span<const double> point);
