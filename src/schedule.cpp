// Functions of learning-rate schedules, the same bits on every machine.
#include "zo/schedule.hpp"

#include <cmath>

namespace zo::detail {

// cos(pi t) = sin(pi/2 - pi t) by its Taylor series about t = 1/2, error below 1e-15.
double cosine_of_half_turns(double t) {
  const double y = 3.14159265358979323846 * (0.5 - t);
  const double y2 = y * y;
  double p = 1.0;
  for (int n = 21; n >= 3; n -= 2) p = std::fma(-y2 / (n * (n - 1)), p, 1.0);
  return y * p;
}

double power(double base, std::uint64_t exponent) {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace zo::detail
