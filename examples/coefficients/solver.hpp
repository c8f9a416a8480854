// The black boxes: coefficients of an equation in, its whole space-time field out.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace coefficients {

/// Where the field is wanted: u[time][space], time after time. The first time is that of the
/// initial values.
struct field_points {
  std::vector<double> x;
  std::vector<double> t;

  std::size_t size() const { return x.size() * t.size(); }
};

/// How fine a solver works inside, whatever the points are.
struct resolution {
  int space = 0;  ///< points over the whole interval
  int steps = 0;  ///< of time, over the whole of it; at least one from each wanted time to the next
};

/// Steps of time from one wanted time to the next, `span` of the `whole` time.
int steps_within(const resolution& how, double span, double whole);

/// Solves an equation on [-1, 1] for any coefficients. Calls may run at the same time.
class solver {
 public:
  virtual ~solver() = default;
  /// Writes the field. Where the solution is lost (the scheme blows up, a coefficient is none that
  /// the equation has), all that follows in time is NaN.
  virtual void solve(std::span<const double> coefficients, std::span<double> field) const = 0;
};

/// u_t + lambda u u_x = nu u_xx, u(0, x) = -sin(pi x), u = 0 at the ends; coefficients (lambda,
/// nu). Fourth-order differences that keep the energy, on points that crowd around the shock at 0.
std::unique_ptr<solver> make_burgers(const field_points& at, const resolution& how);

/// u_t = lambda1 u_xx + lambda2 (u - u^3), u(0, x) = x^2 cos(pi x), u = -1 at the ends;
/// coefficients (lambda1, lambda2). Fourth-order differences.
std::unique_ptr<solver> make_allen_cahn(const field_points& at, const resolution& how);

/// u_t + lambda u u_x + nu u_xxx = 0, u(0, x) = cos(pi x), periodic; coefficients (lambda, nu).
/// Fourier series and Runge-Kutta of order 4 with an integrating factor.
std::unique_ptr<solver> make_kdv(const field_points& at, const resolution& how);

/// The same from other periodic initial values, given at `how.space` equal steps from -1 on.
std::unique_ptr<solver> make_kdv(const field_points& at, const resolution& how,
                                 std::span<const double> initial);

}  // namespace coefficients
